package import Wire

/// What became of the files that a profile's chains go through, in another version of the image.
package struct Drift: Equatable, Sendable {
  /// In the profile's order.
  package var modules: [ModuleDrift]

  package init(modules: [ModuleDrift]) { self.modules = modules }

  package var isNone: Bool { modules.allSatisfy { $0.state == .same || $0.state == .unpinned } }
}

/// What became of one file.
package struct ModuleDrift: Equatable, Sendable {
  package enum State: Equatable, Sendable {
    /// It has the build id that the profile gives.
    case same
    /// Its build id, empty where it has none.
    case changed(to: String)
    /// Nothing is at its path.
    case missing
    /// What is at its path cannot be read as an ELF file.
    case unreadable
    /// The profile gives no path or no build id: nothing can be said.
    case unpinned
  }

  /// What became of a function that is known by its start.
  package enum Start: Equatable, Sendable {
    case at(UInt64)
    /// No function looks like it.
    case gone
    /// More than one does.
    case ambiguous
    /// The profile does not say what it looks like.
    case unknown
  }

  package var module: PathModule
  package var state: State
  /// Of the functions that chains name, where the file has changed: whether it has them.
  package var names: [String: Bool] = [:]
  package var starts: [UInt64: Start] = [:]

  package init(module: PathModule, state: State) {
    self.module = module
    self.state = state
  }
}

extension ModuleDrift {
  /// What is to be asked of the file at the module's path.
  package static func request(for module: PathModule, chains: [[PathElement]]) -> SurveyRequest {
    let elements = chains.joined().filter { $0.module == module.name }
    let names = Set(elements.compactMap { if case .function(let name, _) = $0 { name } else { nil } })
    let starts = Set(elements.compactMap { if case .start(let start, _) = $0 { start } else { nil } })
    let fingerprints = Set(starts.compactMap { module.functions[$0].flatMap { UInt64($0, radix: 16) } })
    return SurveyRequest(names: names.sorted(), fingerprints: fingerprints.sorted())
  }

  /// `survey`: of the file at the module's path; nil where there is none.
  package init(_ module: PathModule, chains: [[PathElement]], _ request: SurveyRequest, _ survey: Survey?) {
    guard let known = module.buildID, module.path != nil else {
      self.init(module: module, state: .unpinned)
      return
    }
    guard let survey else {
      self.init(module: module, state: .missing)
      return
    }
    guard let buildID = survey.buildID else {
      self.init(module: module, state: .unreadable)
      return
    }
    self.init(module: module, state: buildID == known ? .same : .changed(to: buildID))
    guard buildID != known else { return }
    for (name, has) in zip(request.names, survey.hasNames) { names[name] = has }
    let places = Dictionary(uniqueKeysWithValues: zip(request.fingerprints, survey.places))
    for element in chains.joined() {
      guard case .start(let start, module.name) = element else { continue }
      guard let fingerprint = module.functions[start].flatMap({ UInt64($0, radix: 16) }), let found = places[fingerprint] else {
        starts[start] = .unknown
        continue
      }
      starts[start] = found.isEmpty ? .gone : found.count > 1 ? .ambiguous : .at(found[0])
    }
  }
}

/// What became of one chain.
package enum ChainDrift: Equatable, Sendable {
  /// All its files are what they were.
  case same
  /// It leads along the same functions; where those have no names, they have been found again.
  case carried([PathElement])
  /// It has to be recorded again: for each element that is lost, why.
  case lost([String])
}

extension Drift {
  package func fate(of chain: [PathElement]) -> ChainDrift {
    var isSame = true
    var carried: [PathElement] = []
    var reasons: [String] = []
    for element in chain {
      guard let name = element.module, let drift = modules.first(where: { $0.module.name == name }) else {
        carried.append(element)
        continue
      }
      switch drift.state {
      case .same, .unpinned: carried.append(element)
      case .missing, .unreadable:
        isSame = false
        let reason = "\(name) is \(drift.state == .missing ? "not there" : "no ELF file") any more"
        if !reasons.contains(reason) { reasons.append(reason) }
      case .changed:
        isSame = false
        do throws(Lost) { carried.append(try drift.carried(element)) } catch { reasons.append(error.reason) }
      }
    }
    guard reasons.isEmpty else { return .lost(reasons) }
    return isSame ? .same : .carried(carried)
  }
}

private struct Lost: Error { var reason: String }

extension ModuleDrift {
  fileprivate func carried(_ element: PathElement) throws(Lost) -> PathElement {
    switch element {
    case .anyFrames, .anyFunction: return element
    case .function(let name, _):
      guard names[name] == true else { throw Lost(reason: "\(module.name) has no function '\(name)' any more") }
      return element
    case .start(let start, let module):
      switch starts[start] ?? .unknown {
      case .at(let place): return .start(place, of: module)
      case .gone: throw Lost(reason: "no function of \(module) looks like the one at +0x\(String(start, radix: 16))")
      case .ambiguous: throw Lost(reason: "several functions of \(module) look like the one at +0x\(String(start, radix: 16))")
      case .unknown: throw Lost(reason: "the profile does not say what \(element) looks like")
      }
    }
  }

  /// The module as it is now: of the functions that are known by their looks, those that were found again.
  package var rebased: PathModule {
    guard case .changed(let buildID) = state else { return module }
    var now = module
    now.buildID = buildID.isEmpty ? nil : buildID
    now.functions = [:]
    for (old, start) in starts {
      if case .at(let place) = start { now.functions[place] = module.functions[old] }
    }
    return now
  }
}
