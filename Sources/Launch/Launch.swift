package import Diagnostics
package import Plan

/// A supervisor that is ready for its container's listener.
package struct Supervision: Sendable {
  /// Ends it again: the container will not be started.
  package func abandon() {}
}

/// Starts the supervisor of one container and returns once it listens on `plan.socketPath`.
package func startSupervisor(_ plan: Plan) throws(Refusal) -> Supervision {
  Supervision()
}
