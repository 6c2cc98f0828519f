/// What a profile says of one file, to be looked for in a file that stands, or is going to stand, at its place.
package struct SurveyRequest: Equatable, Sendable {
  package static let maxNames = 512
  package static let maxStarts = 512
  package static let maxFingerprints = 512

  /// Of functions.
  package var names: [String]
  /// Of functions without a name: ELF virtual addresses.
  package var starts: [UInt64]
  package var fingerprints: [UInt64]

  package init(names: [String] = [], starts: [UInt64] = [], fingerprints: [UInt64] = []) {
    self.names = names
    self.starts = starts
    self.fingerprints = fingerprints
  }
}

/// What was found: each list as long as the request's, and in its order.
package struct Survey: Equatable, Sendable {
  /// Places of one fingerprint that are told: two of them say that it is not unique.
  package static let maxPlaces = 2

  /// nil where the file is none that callgate can read.
  package var buildID: String?
  package var hasNames: [Bool]
  /// What the function at each of the starts looks like; nil where there is none, or none that can be told by its looks.
  package var fingerprints: [UInt64?]
  /// Where functions begin that look like each of the fingerprints.
  package var places: [[UInt64]]

  package init(buildID: String? = nil, hasNames: [Bool] = [], fingerprints: [UInt64?] = [], places: [[UInt64]] = []) {
    self.buildID = buildID
    self.hasNames = hasNames
    self.fingerprints = fingerprints
    self.places = places
  }
}

extension Writer {
  mutating func put(_ request: SurveyRequest) {
    put(UInt32(request.names.count))
    for name in request.names { put(name, limit: Paths.maxTextBytes) }
    put(UInt32(request.starts.count))
    for start in request.starts { put(start) }
    put(UInt32(request.fingerprints.count))
    for fingerprint in request.fingerprints { put(fingerprint) }
  }

  mutating func put(_ survey: Survey) {
    put(UInt8(survey.buildID == nil ? 0 : 1))
    put(survey.buildID ?? "", limit: Paths.maxTextBytes)
    put(UInt32(survey.hasNames.count))
    for has in survey.hasNames { put(UInt8(has ? 1 : 0)) }
    put(UInt32(survey.fingerprints.count))
    for fingerprint in survey.fingerprints { put(fingerprint) }
    put(UInt32(survey.places.count))
    for places in survey.places {
      put(UInt32(min(places.count, Survey.maxPlaces)))
      for place in places.prefix(Survey.maxPlaces) { put(place) }
    }
  }
}

extension Reader {
  mutating func takeSurveyRequest() throws(WireError) -> SurveyRequest {
    var request = SurveyRequest()
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxNames)) { request.names.append(try takeString(limit: Paths.maxTextBytes)) }
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxStarts)) { request.starts.append(try take()) }
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxFingerprints)) { request.fingerprints.append(try take()) }
    return request
  }

  mutating func takeSurvey() throws(WireError) -> Survey {
    var survey = Survey()
    let isReadable = try takeFlag()
    let buildID = try takeString(limit: Paths.maxTextBytes)
    survey.buildID = isReadable ? buildID : nil
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxNames)) { survey.hasNames.append(try takeFlag()) }
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxStarts)) { survey.fingerprints.append(try takeOptional()) }
    for _ in 0..<(try takeCount(limit: SurveyRequest.maxFingerprints)) {
      var places: [UInt64] = []
      for _ in 0..<(try takeCount(limit: Survey.maxPlaces)) { places.append(try take()) }
      survey.places.append(places)
    }
    return survey
  }
}
