/// What a profile can say so that a check has nothing to object to for some reason.
package enum Remedy: Hashable, Sendable {
  case permit(Permission)
  case declare(JITRuntime)

  /// Whether the objection is gone for certain where the profile says so; else other facts have a say, which only another run can tell: that a
  /// file exports the function, or that libffi has called it, or what lies behind the runtime's code.
  package var isCertain: Bool {
    switch self {
    case .permit(.signalHandlers), .permit(.writtenFiles): true
    case .permit(.dlsym), .permit(.foreignCalls), .declare: false
    }
  }

  /// As a profile writes it, below `spec`.
  package var text: String {
    switch self {
    case .permit(let permission): "permit: [\(permission.name)]"
    case .declare(let runtime): "jit: [\(runtime.name)]"
    }
  }

  package init?(text: String) {
    let all = Permission.allCases.map(Remedy.permit) + JITRuntime.allCases.map(Remedy.declare)
    guard let found = all.first(where: { $0.text == text }) else { return nil }
    self = found
  }
}

extension JITRuntime {
  /// Those that a sentence of a report proposes to declare: of a stack that could not be walked nothing else is recorded.
  package static func proposed(by sentence: String) -> [JITRuntime] {
    let quoted = sentence.split(separator: "'")
    return allCases.filter { runtime in quoted.contains { $0 == Remedy.declare(runtime).text } }
  }
}

extension Reason {
  /// nil where no permission and no declaration has a say.
  package var remedy: Remedy? {
    switch self {
    case .insideHandler: .permit(.signalHandlers)
    case .writtenFile: .permit(.writtenFiles)
    case .addressNotTaken: .permit(.dlsym)
    case .pointerNotHeld: .permit(.foreignCalls)
    case .undeclaredJIT(let runtime): .declare(runtime)
    default: nil
    }
  }
}
