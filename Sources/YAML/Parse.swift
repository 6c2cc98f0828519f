internal import CYAML

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

/// libyaml's events without its types.
private struct Event {
  enum Kind: Equatable {
    case scalar(String, isPlain: Bool)
    case sequenceStart, sequenceEnd, mappingStart, mappingEnd, documentEnd, streamEnd
  }
  var kind: Kind
  var line: Int
  var column: Int
}

/// The whole event stream: the document's size bounds it.
private func readEvents(_ bytes: [UInt8]) throws(YAMLError) -> [Event] {
  var parser = unsafe yaml_parser_t()
  guard unsafe yaml_parser_initialize(&parser) == 1 else {
    throw YAMLError(reason: "out of memory", line: 1, column: 1)
  }
  defer { unsafe yaml_parser_delete(&parser) }
  // SAFETY: the parser reads `count` bytes of an array that outlives it: both end with this closure.
  let result: Result<[Event], YAMLError> = unsafe bytes.withUnsafeBufferPointer { text in
    unsafe yaml_parser_set_input_string(&parser, text.baseAddress, text.count)
    return unsafe collectEvents(&parser)
  }
  return try result.get()
}

private func collectEvents(_ parser: inout yaml_parser_t) -> Result<[Event], YAMLError> {
  var events: [Event] = []
  while true {
    var raw = unsafe yaml_event_t()
    guard unsafe yaml_parser_parse(&parser, &raw) == 1 else { return unsafe .failure(YAMLError(parser)) }
    // SAFETY: a parsed event is deleted once; what is kept of it was copied.
    defer { unsafe yaml_event_delete(&raw) }
    do throws(YAMLError) {
      guard let event = unsafe try Event(copying: raw) else { continue }
      events.append(event)
      if event.kind == .streamEnd { return .success(events) }
    } catch {
      return .failure(error)
    }
  }
}

extension Event {
  /// Nil for an event that says nothing: the starts of stream and document.
  fileprivate init?(copying raw: yaml_event_t) throws(YAMLError) {
    let (line, column) = unsafe (Int(raw.start_mark.line) + 1, Int(raw.start_mark.column) + 1)
    (self.line, self.column) = (line, column)
    func refuse(_ what: String) -> YAMLError { YAMLError(reason: "\(what) are not accepted", line: line, column: column) }
    // SAFETY: the union's member is chosen by the event's type; strings end with NUL or have a length, and live as long as `raw`.
    switch unsafe raw.type {
    case YAML_SCALAR_EVENT:
      let scalar = unsafe raw.data.scalar
      if unsafe scalar.anchor != nil { throw refuse("anchors") }
      if unsafe scalar.tag != nil { throw refuse("tags") }
      let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      kind = unsafe .scalar(String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    case YAML_SEQUENCE_START_EVENT:
      if unsafe raw.data.sequence_start.anchor != nil { throw refuse("anchors") }
      if unsafe raw.data.sequence_start.tag != nil { throw refuse("tags") }
      kind = .sequenceStart
    case YAML_MAPPING_START_EVENT:
      if unsafe raw.data.mapping_start.anchor != nil { throw refuse("anchors") }
      if unsafe raw.data.mapping_start.tag != nil { throw refuse("tags") }
      kind = .mappingStart
    case YAML_ALIAS_EVENT: throw refuse("aliases")
    case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
    case YAML_MAPPING_END_EVENT: kind = .mappingEnd
    case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
    case YAML_STREAM_END_EVENT: kind = .streamEnd
    default: return nil
    }
  }
}

extension YAMLError {
  fileprivate init(_ parser: yaml_parser_t) {
    // SAFETY: libyaml's messages are string literals or nil.
    let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "malformed"
    self.init(
      reason: problem, line: unsafe Int(parser.problem_mark.line) + 1,
      column: unsafe Int(parser.problem_mark.column) + 1)
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
    case .scalar(let text, let isPlain): return at(.scalar(text, isPlain: isPlain))
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
        guard case .scalar(let key, let isPlain) = event.kind else {
          throw YAMLError(reason: "a key must be a plain name", line: event.line, column: event.column)
        }
        if key == "<<", isPlain {
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
