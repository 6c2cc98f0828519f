extension YAMLDocument {
  /// Columns that a collection in flow style may reach to.
  static let width = 120

  /// The canonical form. What is written depends on the tree and its comments only, and reads back as the same.
  ///
  /// Two spaces a level. Below the second level, what holds scalars, or scalars and small collections of them, has no comments inside and
  /// fits the line is in flow style; everything else is in block style. Comments are two spaces behind what they belong to.
  package var text: String {
    var emitter = Emitter(sparing: false)
    return emitter.document(self)
  }

  /// The text that was read, with what was changed since in canonical form.
  package var sparingText: String {
    var emitter = Emitter(sparing: true)
    return emitter.document(self)
  }
}

private struct Emitter {
  let sparing: Bool
  private var out: [String] = []

  init(sparing: Bool) { self.sparing = sparing }

  mutating func document(_ document: YAMLDocument) -> String {
    var document = document
    document.root = hoisted(document.root)
    comments(document.head, indent: 0)
    let leading = leading(document.root)
    comments(out.isEmpty ? Array(leading.drop { $0.isEmpty }) : leading, indent: 0)
    if let items = document.root.items, !items.isEmpty {
      block(document.root, indent: 0, level: 0)
    } else {
      out.append(flow(document.root) ?? "")
      comments(document.root.foot, indent: 0)
    }
    while out.last?.isEmpty == true { out.removeLast() }
    return out.joined(separator: "\n") + "\n"
  }

  /// What stands above the first item of an element's collection stands above the element, whose line that item shares.
  private func hoisted(_ node: YAMLDocument.Node) -> YAMLDocument.Node {
    func hoisted(_ item: YAMLDocument.Item) -> YAMLDocument.Item {
      if sparing, item.source != nil { return item }
      var item = item
      item.value = self.hoisted(item.value)
      guard item.key == nil, var inner = item.value.items, let first = inner.first, !first.above.isEmpty else { return item }
      item.above += first.above
      inner[0].above = []
      item.value = item.value.with(inner)
      return item
    }
    guard var items = node.items?.map(hoisted) else { return node }
    // An empty line above the first says nothing.
    if !sparing, !items.isEmpty { items[0].above = Array(items[0].above.drop { $0.isEmpty }) }
    return node.with(items)
  }

  private mutating func comments(_ lines: [String], indent: Int) {
    for line in lines {
      if line.isEmpty, out.last?.isEmpty ?? true { continue }
      out.append(line.isEmpty ? "" : spaces(indent) + line)
    }
  }

  /// The items of a collection, and its foot. The first item continues the last line where `inline` (it ends with a dash).
  private mutating func block(_ node: YAMLDocument.Node, indent: Int, level: Int, inline: Bool = false) {
    let indent = sparing ? node.column.map { $0 - 1 } ?? indent : indent
    for (index, item) in (node.items ?? []).enumerated() {
      // The first one's were written by `leading`, above what it is the beginning of.
      if index > 0 {
        comments(above(item, level: level + 1, indent: indent), indent: indent)
      }
      if index > 0 || !inline { out.append(spaces(indent)) }
      if sparing, let source = item.source {
        out[out.count - 1] += (item.key == nil ? "- " : "") + source
      } else if let key = item.key {
        entry(key, item, indent: indent, level: level + 1)
      } else {
        element(item, indent: indent, level: level + 1)
      }
    }
    comments(node.foot, indent: indent)
  }

  private mutating func entry(_ key: YAMLDocument.Scalar, _ item: YAMLDocument.Item, indent: Int, level: Int) {
    let head = key.written(inFlow: false) + ":"
    let after = item.after.map { "  " + $0 } ?? ""
    if let value = oneLine(item.value, column: indent + head.count + 1, level: level) {
      out[out.count - 1] += head + (value.isEmpty ? "" : " " + value) + after
    } else if case .scalar(let scalar) = item.value.content {
      lines(of: scalar, head: head + " ", after: after, indent: indent + 2)
    } else {
      out[out.count - 1] += head + after
      let leading = leading(item.value, below: level, indent: indent + 2)
      comments(Array(leading.drop { $0.isEmpty }), indent: childIndent(item.value, indent + 2))
      block(item.value, indent: indent + 2, level: level)
    }
  }

  private mutating func element(_ item: YAMLDocument.Item, indent: Int, level: Int) {
    let after = item.after.map { "  " + $0 } ?? ""
    if let value = oneLine(item.value, column: indent + 2, level: level) {
      out[out.count - 1] += (value.isEmpty ? "-" : "- " + value) + after
    } else if case .scalar(let scalar) = item.value.content {
      lines(of: scalar, head: "- ", after: after, indent: indent + 2)
    } else {
      let inner = childIndent(item.value, indent + 2)
      out[out.count - 1] += "-" + spaces(inner - indent - 1)
      block(item.value, indent: indent + 2, level: level, inline: true)
    }
  }

  private func childIndent(_ node: YAMLDocument.Node, _ indent: Int) -> Int {
    sparing ? node.column.map { $0 - 1 } ?? indent : indent
  }

  /// The comments above an item, and those that have no other place because its value begins on its line.
  private func above(_ item: YAMLDocument.Item, level: Int, indent: Int) -> [String] {
    if sparing, item.source != nil { return item.above }
    guard item.key == nil, item.value.items != nil, oneLine(item.value, column: indent + 2, level: level) == nil else {
      return item.above
    }
    return item.above + (item.after.map { [$0] } ?? []) + leading(item.value, below: level, indent: indent + 2)
  }

  private func leading(_ node: YAMLDocument.Node, below level: Int = 0, indent: Int = 0) -> [String] {
    let indent = childIndent(node, indent)
    return node.items?.first.map { above($0, level: level + 1, indent: indent) } ?? []
  }

  // MARK: values

  /// What a value is on the rest of a line, or nil where it needs lines of its own.
  private func oneLine(_ node: YAMLDocument.Node, column: Int, level: Int) -> String? {
    switch node.content {
    case .scalar(let scalar):
      if scalar.text.isEmpty, scalar.isPlain { return "" }
      let text = scalar.written(inFlow: false)
      return scalar.blockForm(fits: column + text.unicodeScalars.count <= YAMLDocument.width) == nil ? text : nil
    case .sequence(let items), .mapping(let items):
      guard !items.isEmpty else { return flow(node) }
      // The document's first two levels are read as its headings.
      guard level >= 2, !(sparing && node.column != nil) else { return nil }
      guard isSmall(node), let text = flow(node), column + text.unicodeScalars.count <= YAMLDocument.width else { return nil }
      return text
    }
  }

  /// Scalars, or beside them collections of scalars.
  private func isSmall(_ node: YAMLDocument.Node) -> Bool {
    switch node.content {
    case .scalar: true
    case .sequence(let items): items.allSatisfy { $0.value.items?.isEmpty ?? true }
    case .mapping(let items):
      // A mapping of mappings only is a table: a line each.
      items.contains { $0.value.items?.isEmpty ?? true || !$0.value.isMapping }
        && items.allSatisfy { item in (item.value.items ?? []).allSatisfy { $0.value.items?.isEmpty ?? true } }
    }
  }

  /// In flow style, or nil where comments or an absent value forbid it.
  private func flow(_ node: YAMLDocument.Node) -> String? {
    guard case .scalar(let scalar) = node.content else {
      let items = node.items ?? []
      guard node.foot.isEmpty || items.isEmpty else { return nil }
      var parts: [String] = []
      for item in items {
        guard item.above.isEmpty, item.after == nil, let value = flow(item.value) else { return nil }
        parts.append((item.key.map { $0.written(inFlow: true) + ": " } ?? "") + value)
      }
      let text = parts.joined(separator: ", ")
      if case .mapping = node.content { return "{\(text)}" }
      return "[\(text)]"
    }
    if scalar.text.isEmpty, scalar.isPlain { return nil }
    return scalar.written(inFlow: true)
  }

  private mutating func lines(of scalar: YAMLDocument.Scalar, head: String, after: String, indent: Int) {
    let (indicator, lines) = scalar.blockForm(fits: false) ?? ("", [])
    out[out.count - 1] += head + indicator + after
    for line in lines { out.append(line.isEmpty ? "" : spaces(indent) + line) }
  }

  private func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }
}
