/// A document as people wrote it: the tree, and the comments that belong to its parts. It can be changed and written again.
///
/// ```
/// # head                      all lines above the first entry
/// spec:  # after              on the entry's own line
///   # above                   lines above an entry or element; an empty one stands for an empty line
///   trap: ["@exec"]
///   # foot                    lines below the last entry, as deep as it
/// # foot of the document
/// ```
package struct YAMLDocument: Equatable, Sendable {
  package var head: [String]
  package var root: Node

  package init(root: Node, head: [String] = []) {
    self.root = root
    self.head = head
  }

  package struct Scalar: Equatable, Sendable {
    package var text: String
    /// Written without quotes, so that `true` may be read as a boolean and `12` as a number.
    package var isPlain: Bool

    package init(_ text: String, isPlain: Bool) {
      self.text = text
      self.isPlain = isPlain
    }
  }

  package struct Node: Equatable, Sendable {
    package indirect enum Content: Equatable, Sendable {
      case scalar(Scalar)
      case sequence([Item])
      case mapping([Item])
    }
    package var content: Content
    /// Comments below the last item of a collection.
    package var foot: [String] = []
    /// Where a collection in block style was read, from 1.
    var column: Int?

    package init(_ content: Content) { self.content = content }
  }

  /// An element of a sequence, or an entry of a mapping, which has a key.
  package struct Item: Equatable, Sendable {
    package var key: Scalar?
    package var value: Node { didSet { source = nil } }
    /// With their `#`. An empty one stands for an empty line.
    package var above: [String] = []
    package var after: String? { didSet { source = nil } }
    /// Where it was read, from 1; 0 for what was not.
    package internal(set) var line = 0
    package internal(set) var column = 0
    /// How it was written, from its key or value to its end, comments and all, while nothing of it was changed. Nil for what stood in a
    /// collection in flow style.
    var source: String?

    package init(key: Scalar? = nil, value: Node) {
      self.key = key
      self.value = value
    }
  }
}

// MARK: making

extension YAMLDocument.Node {
  /// Quoted where it would not be read as this text.
  package static func text(_ text: String) -> Self { Self(.scalar(.init(text, isPlain: false))) }
  /// As it is, such as a number: `0x4`.
  package static func plain(_ text: String) -> Self { Self(.scalar(.init(text, isPlain: true))) }
  package static func list(_ elements: [Self]) -> Self { Self(.sequence(elements.map { .init(value: $0) })) }
  package static func mapping(_ entries: KeyValuePairs<String, Self>) -> Self { mapping(entries.map { ($0.key, $0.value) }) }
  package static func mapping(_ entries: [(key: String, value: Self)]) -> Self {
    Self(.mapping(entries.map { .init(key: .init($0.key, isPlain: false), value: $0.value) }))
  }
}

// MARK: looking

extension YAMLDocument.Node {
  package var text: String? { if case .scalar(let scalar) = content { scalar.text } else { nil } }
  package var items: [YAMLDocument.Item]? {
    switch content {
    case .scalar: nil
    case .sequence(let items), .mapping(let items): items
    }
  }

  package var isMapping: Bool { if case .mapping = content { true } else { false } }

  package func item(_ key: String) -> YAMLDocument.Item? {
    guard case .mapping(let entries) = content else { return nil }
    return entries.first { $0.key?.text == key }
  }

  /// The same collection of other items.
  package func with(_ items: [YAMLDocument.Item]) -> Self {
    var node = self
    switch content {
    case .scalar: break
    case .sequence: node.content = .sequence(items)
    case .mapping: node.content = .mapping(items)
    }
    return node
  }

  package subscript(key: String) -> Self? { item(key)?.value }
}

extension YAMLDocument {
  /// One step down: an entry's key, or an element's index.
  package enum Step: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, Equatable, Sendable, CustomStringConvertible {
    case key(String)
    case index(Int)

    package init(stringLiteral key: String) { self = .key(key) }
    package init(integerLiteral index: Int) { self = .index(index) }

    package var description: String {
      switch self {
      case .key(let key): key
      case .index(let index): String(index)
      }
    }
  }

  /// Nothing is at `path`, or something of another kind.
  package struct EditError: Error, Equatable, Sendable, CustomStringConvertible {
    package let path: [Step]
    package let expected: String

    package var description: String { "'\(path.map(\.description).joined(separator: "."))' is not \(expected)" }
  }

  package func node(at path: [Step]) -> Node? {
    var node = root
    for step in path {
      guard let next = node.items.flatMap({ items in step.index(in: items).map { items[$0].value } }) else { return nil }
      node = next
    }
    return node
  }
}

extension YAMLDocument.Step {
  fileprivate func index(in items: [YAMLDocument.Item]) -> Int? {
    switch self {
    case .key(let key): items.firstIndex { $0.key?.text == key }
    case .index(let index): items.indices.contains(index) && items[index].key == nil ? index : nil
    }
  }
}

// MARK: changing

extension YAMLDocument {
  /// Adds an element to the sequence at `path`. What the path lacks is made.
  package mutating func append(_ node: Node, at path: [Step], above: [String] = []) throws(EditError) {
    try root.change(path[...], orMake: Node(.sequence([]))) { list throws(EditError) in
      guard case .sequence(var elements) = list.content else { throw EditError(path: path, expected: "a list") }
      var item = Item(value: node)
      item.above = above
      elements.append(item)
      list.content = .sequence(elements)
    }
  }

  /// Puts `node` at `path`, for what is there, whose comments stay, or as a last entry. What the path lacks is made.
  package mutating func set(_ node: Node, at path: [Step]) throws(EditError) {
    try root.change(path[...], orMake: node) { $0 = node }
  }

  /// Takes an entry or an element away, with its comments.
  package mutating func remove(at path: [Step]) throws(EditError) {
    guard let last = path.last, node(at: path) != nil else { throw EditError(path: path, expected: "there") }
    try root.change(path.dropLast(), orMake: nil) { parent in
      guard var items = parent.items, let index = last.index(in: items) else { return }
      items.remove(at: index)
      parent = parent.with(items)
    }
  }
}

extension YAMLDocument.Node {
  fileprivate mutating func change(
    _ path: ArraySlice<YAMLDocument.Step>, orMake made: Self?, _ body: (inout Self) throws(YAMLDocument.EditError) -> Void
  ) throws(YAMLDocument.EditError) {
    guard let step = path.first else { return try body(&self) }
    func refuse(_ expected: String) -> YAMLDocument.EditError { YAMLDocument.EditError(path: Array(path), expected: expected) }
    let rest = path.dropFirst()
    switch content {
    case .scalar: throw refuse("in a list or a mapping")
    case .sequence(var items):
      guard let index = step.index(in: items) else { throw refuse("an element") }
      try items[index].value.change(rest, orMake: made, body)
      content = .sequence(items)
    case .mapping(var items):
      guard case .key(let key) = step else { throw refuse("an entry's key") }
      if step.index(in: items) == nil {
        guard let made else { throw refuse("there") }
        items.append(.init(key: .init(key, isPlain: false), value: rest.isEmpty ? made : Self(.mapping([]))))
      }
      if let index = step.index(in: items) { try items[index].value.change(rest, orMake: made, body) }
      content = .mapping(items)
    }
  }
}
