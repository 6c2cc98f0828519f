package import Wire

extension [PathRule] {
  /// What these say of a way to `syscall` that is not allowed: the chain that was denied, or, where none that is allowed was the way, the
  /// strictest of those. nil where they name no action.
  package func action(of judgement: PathJudgement, to syscall: String) -> Action? {
    let concerned = lazy.filter { $0.syscalls.contains(syscall) }
    switch judgement {
    case .allowed: return nil
    case .denied(let place): return concerned.filter(\.isDenied).dropFirst(place).first?.onViolation
    case .unlisted:
      return concerned.filter { !$0.isDenied }.compactMap(\.onViolation).reduce(nil) { strictest, action in
        strictest.map { Action.stricter($0, action) } ?? action
      }
    }
  }
}
