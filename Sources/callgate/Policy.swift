import Diagnostics
import Kernel
import OCI
import Profile
import Settings

/// A container that is to be supervised, and how: what its annotations ask for, within what the administrator settled.
struct UntrustedContainer {
  let id: String
  /// As the runtime was given it; empty where it was not.
  let runtimeRoot: String
  /// Absolute.
  let configFile: String
  let bundleDirectory: String
  /// The bytes of `configFile`.
  let configBytes: [UInt8]
  let bundle: Bundle
  /// A name, or NAME@DIGEST.
  let profile: String
  let mode: Mode
  /// The recording that it asks for.
  let recording: String?

  /// Nil for a container that is trusted.
  init?(_ arguments: Arguments, _ settings: Settings) throws(Refusal) {
    guard let id = arguments.id, let verb = arguments.verb else { return nil }
    self.id = id
    runtimeRoot = arguments.root ?? ""
    do throws(SyscallError) {
      let here = try workingDirectory()
      func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        let relative = path.split(separator: "/").filter { $0 != "." }
        return ([here] + relative.map(String.init)).joined(separator: "/")
      }
      configFile = absolute(arguments.configPath)
      bundleDirectory = absolute(arguments.bundle ?? ".")
      configBytes = try readFile(configFile, limit: maxConfigBytes)
    } catch { throw Refusal(.badBundle, error.plain) }
    bundle = try Bundle(parsing: configBytes, file: configFile)

    let annotations = try bundle.annotations()
    let request = try Request(annotations)
    guard request.isUntrusted || settings.everyContainerIsUntrusted else {
      if !request.mentionsTrust, request.profile != nil || request.mode != nil || request.record != nil {
        throw Refusal(
          .badAnnotation, "the container has annotations of callgate but is trusted",
          hint: "add 'dev.callgate.untrusted=true', or leave the others out")
      }
      return nil
    }
    guard verb != "restore" else {
      throw Refusal(.badArguments, "an untrusted container cannot be restored: a checkpoint holds no listener to supervise it by")
    }
    try refuseLoosening(annotations)
    profile = request.profile ?? settings.profile
    mode = try strictest(request.mode, settings.mode)
    recording = request.record
  }
}

/// As much as the JSON reader takes.
private let maxConfigBytes = 16 << 20

/// Annotations only tighten.
private func strictest(_ annotation: String?, _ configured: Mode) throws(Refusal) -> Mode {
  guard let annotation else { return configured }
  guard let mode = Mode(rawValue: annotation) else {
    let hint =
      annotation == "record"
      ? "a recording is asked for by its name: dev.callgate.record" : "valid: \(Mode.allCases.map(\.rawValue).joined(separator: ", "))"
    throw Refusal(.badAnnotation, "the mode '\(annotation)' of 'dev.callgate.mode' is none of callgate's", hint: hint)
  }
  guard mode >= configured else {
    throw Refusal(
      .loosenedByAnnotation,
      "the annotation 'dev.callgate.mode' asks for '\(mode.rawValue)', but '\(configured.rawValue)' is configured",
      hint: "annotations can only be stricter")
  }
  return mode
}
