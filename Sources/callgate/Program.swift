import Diagnostics
import Kernel
import OCI
import Settings

/// The OCI runtime that an engine calls in place of crun or runc. It ends by becoming one of them, whatever the command; a container
/// that is marked untrusted gets a supervisor and another filter first.
@main struct Main {
  static func main() {
    let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
    do throws(Refusal) { try serve(arguments) } catch {
      FailureLog(arguments).write(error)
      leave(1)
    }
  }
}

/// A configuration with an error in it starts nothing, but containers that run must still be stopped, looked at and deleted: for that the
/// runtimes that are usual will do.
private func settings(at locations: Locations, for arguments: Arguments) throws(Refusal) -> Settings {
  do throws(Refusal) {
    return try locations.readSettings()
  } catch {
    if ["create", "run", "restore", "features"].contains(arguments.verb) { throw error }
    complain("callgate: \(error)")
    return Settings()
  }
}

private func serve(_ arguments: Arguments) throws(Refusal) -> Never {
  if let problem = arguments.problem { throw problem }
  let locations = try Locations.own()
  let settings = try settings(at: locations, for: arguments)
  let runtime = try findRuntime(settings.runtimes)

  if arguments.asksForHelp { try runtime.become() }
  switch arguments.verb {
  case "create", "run", "restore":
    guard let container = try UntrustedContainer(arguments, settings) else { try runtime.become() }
    try start(container, locations, settings, runtime)
  case "delete": try delete(arguments, runtime)
  case "features": try features(runtime)
  default: try runtime.become()
  }
}
