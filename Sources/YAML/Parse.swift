extension YAMLNode {
  /// Profiles are pages, not books.
  package static let maxBytes = 256 << 10
  package static let maxDepth = 32

  /// Reads one document, refusing what a configuration has no use for: anchors and aliases (a kilobyte of them expands to
  /// gigabytes), tags, merge keys, duplicate keys, keys that are no scalars, a second document.
  package init(parsing bytes: [UInt8]) throws(YAMLError) {
    guard bytes.count <= YAMLNode.maxBytes else {
      throw YAMLError(reason: "larger than \(YAMLNode.maxBytes) bytes", line: 1, column: 1)
    }
    let events = try readEvents(bytes)
    var reader = TreeReader(events: events)
    self = try reader.document()
  }
}

/// Events -> tree.
private struct TreeReader {
  let events: [Event]
  var next = 0

  init(events: [Event]) { self.events = events }

  mutating func take() -> Event {
    // libyaml's streams end with one streamEnd event, and nothing is taken after it.
    defer { next += 1 }
    return events[next]
  }

  mutating func document() throws(YAMLError) -> YAMLNode {
    let first = take()
    if first.kind == .streamEnd { throw YAMLError(reason: "the document is empty", line: 1, column: 1) }
    let root = try node(first, depth: 0)
    _ = take()
    let last = take()
    guard last.kind == .streamEnd else {
      throw YAMLError(reason: "only one document is accepted", line: last.line, column: last.column)
    }
    return root
  }

  mutating func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
    func at(_ content: YAMLNode.Content) -> YAMLNode { YAMLNode(content: content, line: event.line, column: event.column) }
    guard depth < YAMLNode.maxDepth else {
      throw YAMLError(reason: "nested deeper than \(YAMLNode.maxDepth)", line: event.line, column: event.column)
    }
    switch event.kind {
    case .scalar(let text, let style): return at(.scalar(text, isPlain: style == .plain))
    case .sequenceStart:
      var elements: [YAMLNode] = []
      while true {
        let event = take()
        if event.kind == .sequenceEnd { return at(.sequence(elements)) }
        elements.append(try node(event, depth: depth + 1))
      }
    case .mappingStart:
      var entries: [YAMLEntry] = []
      var seen: Set<String> = []
      while true {
        let event = take()
        if event.kind == .mappingEnd { return at(.mapping(entries)) }
        guard case .scalar(let key, let style) = event.kind else {
          throw YAMLError(reason: "a key must be a plain name", line: event.line, column: event.column)
        }
        if key == "<<", style == .plain {
          throw YAMLError(reason: "merge keys are not accepted", line: event.line, column: event.column)
        }
        guard seen.insert(key).inserted else {
          throw YAMLError(reason: "'\(key)' is given twice", line: event.line, column: event.column)
        }
        let value = try node(take(), depth: depth + 1)
        entries.append(YAMLEntry(key: key, line: event.line, column: event.column, value: value))
      }
    case .sequenceEnd, .mappingEnd, .documentEnd, .streamEnd:
      preconditionFailure("libyaml nests its events")
    }
  }
}
