internal import CYAML

/// libyaml's events without its types.
struct Event {
  enum Kind: Equatable {
    case scalar(String, ScalarStyle)
    case sequenceStart(isFlow: Bool)
    case mappingStart(isFlow: Bool)
    case sequenceEnd, mappingEnd, documentEnd, streamEnd
  }
  enum ScalarStyle: Equatable { case plain, quoted, block }
  var kind: Kind
  var start: Place
  /// Just behind it. The end of a collection in block style is where the next thing starts.
  var end: Place

  var line: Int { start.line }
  var column: Int { start.column }
}

/// Counted from 1, in characters.
struct Place: Comparable {
  var line: Int
  var column: Int

  static func < (a: Place, b: Place) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// The whole event stream: the document's size bounds it.
func readEvents(_ bytes: [UInt8]) throws(YAMLError) -> [Event] {
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
    let start = unsafe Place(line: Int(raw.start_mark.line) + 1, column: Int(raw.start_mark.column) + 1)
    self.start = start
    end = unsafe Place(line: Int(raw.end_mark.line) + 1, column: Int(raw.end_mark.column) + 1)
    func refuse(_ what: String) -> YAMLError { YAMLError(reason: "\(what) are not accepted", line: start.line, column: start.column) }
    // SAFETY: the union's member is chosen by the event's type; strings end with NUL or have a length, and live as long as `raw`.
    switch unsafe raw.type {
    case YAML_SCALAR_EVENT:
      let scalar = unsafe raw.data.scalar
      if unsafe scalar.anchor != nil { throw refuse("anchors") }
      if unsafe scalar.tag != nil { throw refuse("tags") }
      let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let style: ScalarStyle =
        switch unsafe scalar.style {
        case YAML_PLAIN_SCALAR_STYLE: .plain
        case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: .block
        default: .quoted
        }
      kind = unsafe .scalar(String(decoding: bytes, as: UTF8.self), style)
    case YAML_SEQUENCE_START_EVENT:
      if unsafe raw.data.sequence_start.anchor != nil { throw refuse("anchors") }
      if unsafe raw.data.sequence_start.tag != nil { throw refuse("tags") }
      kind = unsafe .sequenceStart(isFlow: raw.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE)
    case YAML_MAPPING_START_EVENT:
      if unsafe raw.data.mapping_start.anchor != nil { throw refuse("anchors") }
      if unsafe raw.data.mapping_start.tag != nil { throw refuse("tags") }
      kind = unsafe .mappingStart(isFlow: raw.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
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
