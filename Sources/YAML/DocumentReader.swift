extension YAMLDocument {
  /// A key of more could, once its characters are escaped, be longer than the 1024 that YAML 1.1 allows a key on one line.
  static let maxKeyBytes = 128

  /// Reads what `YAMLNode(parsing:)` reads where it is a mapping or a list, and the comments with it.
  package init(parsing bytes: [UInt8]) throws(YAMLError) {
    _ = try YAMLNode(parsing: bytes)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw YAMLError(reason: "the document is not UTF-8 text", line: 1, column: 1)
    }
    let events = try readEvents(bytes)
    var layout = Layout(events, lines: lines(of: text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text))
    layout.attachComments()
    for item in layout.items where item.keyBytes > YAMLDocument.maxKeyBytes {
      throw YAMLError(reason: "a key is longer than \(YAMLDocument.maxKeyBytes) bytes", line: item.start.line, column: item.start.column)
    }
    guard let first = events.first, !layout.nests.isEmpty else {
      throw YAMLError(reason: "the document must be a mapping or a list", line: 1, column: 1)
    }
    var builder = Builder(events: events, layout: layout)
    root = builder.node(first)
    head = layout.head
  }
}

/// Without their ends, which are those of YAML 1.1.
private func lines(of text: String) -> [[Unicode.Scalar]] {
  var lines: [[Unicode.Scalar]] = [[]]
  var last: Unicode.Scalar?
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\n" where last == "\r": break
    case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": lines.append([])
    default: lines[lines.count - 1].append(scalar)
    }
    last = scalar
  }
  return lines
}

private func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
  var text = String.UnicodeScalarView()
  text.append(contentsOf: scalars)
  return String(text)
}

/// Where everything lies, and which comments belong to what. Items and nests (collections) are in the order of the document.
private struct Layout {
  struct Item {
    var nest: Int
    var start: Place
    /// Of its value, which for an element is itself.
    var valueStart: Place?
    /// Just behind its value.
    var end: Place
    /// With the comments inside of it.
    var lastLine = 0
    var ownNest: Int?
    var keyBytes = 0
    /// A comment from inside of it is told above it: as it was written, it would hold that twice.
    var isMoved = false
    var above: [String] = []
    var after: String?
  }
  struct Nest {
    var isFlow: Bool
    var isMapping: Bool
    var start: Place
    var end: Place
    var owner: Int?
    var items: [Int] = []
    var foot: [String] = []
    /// Of the open entry, while the document is read.
    var awaitsValue = false

    var column: Int { start.column }
  }

  let lines: [[Unicode.Scalar]]
  var items: [Item] = []
  var nests: [Nest] = []
  var head: [String] = []
  /// By line: the columns that are scalars' text.
  private var covered: [[Range<Int>]]
  private var documentStart = 1
  /// Comments below one another keep their order: none goes deeper than the one above it did. A column; 0 for the next item's.
  private var deepest = Int.max
  /// By line: the items that begin or end on it, or whose value begins there.
  private var touching: [Int: [Int]] = [:]

  init(_ events: [Event], lines: [[Unicode.Scalar]]) {
    self.lines = lines
    covered = Array(repeating: [], count: lines.count + 2)
    var open: [Int] = []
    if let first = events.first { documentStart = first.line }
    for event in events {
      switch event.kind {
      case .scalar(let text, let style):
        let end = cover(event, style, keepsBreaks: text.hasSuffix("\n\n"))
        begin(event, in: open.last, keyBytes: text.utf8.count, keyEnd: end)
      case .sequenceStart(let isFlow): beginNest(event, isFlow: isFlow, isMapping: false, &open)
      case .mappingStart(let isFlow): beginNest(event, isFlow: isFlow, isMapping: true, &open)
      case .sequenceEnd, .mappingEnd:
        let nest = open.removeLast()
        let last = nests[nest].items.last.map { items[$0].end } ?? nests[nest].start
        nests[nest].end = nests[nest].isFlow ? event.end : last
        if let owner = nests[nest].owner { items[owner].end = nests[nest].end }
      case .documentEnd, .streamEnd: break
      }
    }
    for index in items.indices {
      // A value without text may have its place behind the line.
      items[index].lastLine = max(items[index].start.line, items[index].end.line)
    }
  }

  private mutating func beginNest(_ event: Event, isFlow: Bool, isMapping: Bool, _ open: inout [Int]) {
    let owner = begin(event, in: open.last, keyBytes: 0, keyEnd: event.end)
    nests.append(Nest(isFlow: isFlow, isMapping: isMapping, start: event.start, end: event.end, owner: owner))
    if let owner { items[owner].ownNest = nests.count - 1 }
    open.append(nests.count - 1)
  }

  /// A key, a key's value, or an element begins: the item that it belongs to, or nil for the root.
  @discardableResult private mutating func begin(_ event: Event, in nest: Int?, keyBytes: Int, keyEnd: Place) -> Int? {
    guard let nest else { return nil }
    if nests[nest].isMapping, nests[nest].awaitsValue, let item = nests[nest].items.last {
      nests[nest].awaitsValue = false
      items[item].valueStart = event.start
      items[item].end = keyEnd
      return item
    }
    let isKey = nests[nest].isMapping
    items.append(
      Item(nest: nest, start: event.start, valueStart: isKey ? nil : event.start, end: keyEnd, keyBytes: isKey ? keyBytes : 0))
    nests[nest].items.append(items.count - 1)
    nests[nest].awaitsValue = isKey
    return items.count - 1
  }

  /// Notes a scalar's text, and says where it really ends: empty lines below a block belong to nobody, if not to its text.
  private mutating func cover(_ event: Event, _ style: Event.ScalarStyle, keepsBreaks: Bool) -> Place {
    let (start, end) = (event.start, event.end)
    guard start < end, start.line <= lines.count else { return start }
    if style == .block {
      let header = lines[start.line - 1]
      let indicators = header[(start.column - 1)...].prefix { "|>+-0123456789".unicodeScalars.contains($0) }.count
      covered[start.line].append(start.column..<start.column + indicators)
      var last = end.column > 1 ? end.line : end.line - 1
      while last > start.line, !keepsBreaks, isBlank(last) { last -= 1 }
      for line in start.line + 1..<max(last + 1, start.line + 1) { covered[line].append(1..<Int.max) }
      return last > start.line
        ? Place(line: last, column: lines[last - 1].count + 1) : Place(line: start.line, column: start.column + indicators)
    }
    for line in start.line...end.line where line < covered.count {
      let from = line == start.line ? start.column : 1
      let to = line == end.line ? end.column : Int.max
      if from < to { covered[line].append(from..<to) }
    }
    return end
  }

  private func isBlank(_ line: Int) -> Bool {
    line > lines.count || lines[line - 1].allSatisfy { $0 == " " || $0 == "\t" }
  }

  /// The column where a comment begins.
  private func comment(in line: Int) -> Int? {
    let text = lines[line - 1]
    let isDirective = line < documentStart && text.first == "%"
    return text.indices.first { index in
      text[index] == "#" && !covered[line].contains { $0.contains(index + 1) }
        && !(isDirective && index > 0 && text[index - 1] != " " && text[index - 1] != "\t")
    }.map { $0 + 1 }
  }
}

// MARK: whose comment it is

extension Layout {
  mutating func attachComments() {
    var afterBlank = false
    for (index, item) in items.enumerated() {
      for line in Set([item.start.line, item.valueStart?.line ?? item.start.line, item.end.line]) {
        touching[line, default: []].append(index)
      }
    }
    for line in 1...lines.count {
      guard covered[line].contains(where: { $0.lowerBound == 1 && $0.upperBound == Int.max }) == false else {
        (afterBlank, deepest) = (false, .max)
        continue
      }
      if isBlank(line) {
        afterBlank = true
        continue
      }
      if let column = comment(in: line) {
        let place = Place(line: line, column: column)
        var text = string(lines[line - 1][(column - 1)...])
        while let last = text.unicodeScalars.last, last == " " || last == "\t" { text.unicodeScalars.removeLast() }
        let isAlone = lines[line - 1].prefix(column - 1).allSatisfy { $0 == " " || $0 == "\t" }
        if !isAlone, let owner = itemOnLine(of: place) {
          if afterBlank { noteBlank(above: line) }
          (afterBlank, deepest) = (false, .max)
          if items[owner].after == nil { items[owner].after = text } else { putAbove(owner, [text]) }
          extend(owner, to: line)
          continue
        }
        // A dash whose element begins further below.
        if !isAlone { deepest = 0 }
        put((afterBlank ? [""] : []) + [text], at: isAlone ? place : Place(line: line, column: 1))
        afterBlank = false
      } else {
        if afterBlank { noteBlank(above: line) }
        (afterBlank, deepest) = (false, touching[line] == nil ? 0 : .max)
      }
    }
    if let first = items.first {
      head = Array(first.above.drop { $0.isEmpty })
      items[0].above = []
    }
  }

  private mutating func noteBlank(above line: Int) {
    guard let item = touching[line]?.first(where: { items[$0].start.line == line }), !isInFlow(items[item].nest) else { return }
    items[item].above.append("")
  }

  private func isInFlow(_ nest: Int) -> Bool { nests[nest].isFlow }

  /// The last thing that begins or ends on the line of `place`, before it.
  private func itemOnLine(of place: Place) -> Int? {
    var best: (anchor: Place, item: Int)?
    for index in touching[place.line] ?? [] where items[index].start <= place {
      let item = items[index]
      let anchor = [item.end, item.valueStart, item.start].compactMap { $0 }.first { $0.line == place.line && $0 <= place }
      if let anchor, best.map({ $0.anchor <= anchor }) ?? true { best = (anchor, index) }
    }
    return best?.item
  }

  /// Comment lines for themselves.
  private mutating func put(_ text: [String], at place: Place) {
    // The first that begins behind the place.
    var (low, high) = (0, items.count)
    while low < high {
      let middle = (low + high) / 2
      if items[middle].start > place { high = middle } else { low = middle + 1 }
    }
    let next = low < items.count ? low : nil
    let previous = (next ?? items.count) - 1
    // Between a key and its value.
    if previous >= 0, let value = items[previous].valueStart, value > place, items[previous].ownNest.map({ nests[$0].isFlow }) ?? true {
      return putAbove(previous, text)
    }
    if let flow = nests.lastIndex(where: { $0.isFlow && $0.start < place && place < $0.end }) {
      let text = text.filter { !$0.isEmpty }
      if let next, items[next].start < nests[flow].end { return items[next].above += text }
      return foot(flow, text, place.line)
    }
    let outer = next.map { nests[items[$0].nest].column } ?? 0
    var nest = previous >= 0 ? items[previous].nest : nil
    if previous >= 0, let own = items[previous].ownNest, nests[own].items.isEmpty { nest = items[previous].nest }
    while let candidate = nest {
      let column = nests[candidate].column
      guard next == nil || column > outer else { break }
      if !nests[candidate].isFlow, column <= min(place.column, deepest) {
        deepest = column
        return foot(candidate, text, place.line)
      }
      nest = nests[candidate].owner.map { items[$0].nest }
    }
    guard let next else { return foot(0, text, place.line) }
    deepest = 0
    items[next].above += text
  }

  private mutating func putAbove(_ item: Int, _ text: [String]) {
    items[item].above += text
    items[item].isMoved = true
  }

  private mutating func foot(_ nest: Int, _ text: [String], _ line: Int) {
    if nests[nest].items.isEmpty, let owner = nests[nest].owner {
      putAbove(owner, text)
    } else {
      nests[nest].foot += text
    }
    if let owner = nests[nest].owner { extend(owner, to: line) }
  }

  private mutating func extend(_ item: Int, to line: Int) {
    items[item].lastLine = max(items[item].lastLine, line)
    if let owner = nests[items[item].nest].owner { extend(owner, to: line) }
  }

  /// How an item of a block collection is written, or nil where that begins on another line than its dash.
  func source(of item: Item) -> String? {
    let nest = nests[item.nest]
    guard !nest.isFlow, !item.isMoved, item.start.line <= lines.count else { return nil }
    if !nest.isMapping, item.start.line <= lines.count {
      let before = lines[item.start.line - 1].prefix(item.start.column - 1)
      guard before.count >= nest.column, before.dropFirst(nest.column - 1).first == "-" else { return nil }
      guard before.dropFirst(nest.column).allSatisfy({ $0 == " " }) else { return nil }
    }
    let last = min(item.lastLine, lines.count)
    guard item.start.line <= last else { return nil }
    let rest = item.start.line < last ? lines[item.start.line..<last].map { string($0) } : []
    return ([string(lines[item.start.line - 1].dropFirst(item.start.column - 1))] + rest).joined(separator: "\n")
  }
}

// MARK: the tree

/// The events once more, with what the layout knows of each item and nest, in the same order.
private struct Builder {
  let events: [Event]
  let layout: Layout
  var next = 1
  var nextItem = 0
  var nextNest = 0

  init(events: [Event], layout: Layout) {
    self.events = events
    self.layout = layout
  }

  mutating func node(_ event: Event) -> YAMLDocument.Node {
    switch event.kind {
    case .scalar(let text, let style): return .init(.scalar(.init(text, isPlain: style == .plain)))
    case .sequenceStart: return collection(isMapping: false)
    case .mappingStart: return collection(isMapping: true)
    case .sequenceEnd, .mappingEnd, .documentEnd, .streamEnd: preconditionFailure("libyaml nests its events")
    }
  }

  private mutating func collection(isMapping: Bool) -> YAMLDocument.Node {
    let nest = layout.nests[nextNest]
    nextNest += 1
    var items: [YAMLDocument.Item] = []
    while true {
      let event = take()
      if event.kind == .sequenceEnd || event.kind == .mappingEnd { break }
      let place = layout.items[nextItem]
      nextItem += 1
      var key: YAMLDocument.Scalar?
      if isMapping, case .scalar(let text, let style) = event.kind { key = .init(text, isPlain: style == .plain) }
      var item = YAMLDocument.Item(key: key, value: node(isMapping ? take() : event))
      (item.line, item.column) = (place.start.line, place.start.column)
      (item.above, item.after) = (place.above, place.after)
      item.source = layout.source(of: place)
      items.append(item)
    }
    var node = YAMLDocument.Node(isMapping ? .mapping(items) : .sequence(items))
    node.foot = nest.foot
    node.column = nest.isFlow ? nil : nest.column
    return node
  }

  private mutating func take() -> Event {
    defer { next += 1 }
    return events[next]
  }
}
