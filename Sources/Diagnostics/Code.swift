/// The stable codes: CG1xxx host and engine, CG2xxx profile, CG3xxx supervisor and inspector, CG4xxx verdicts.
///
/// A code is never reused for another meaning. `callgatectl explain CODE` prints `meaning` and `remedy`.
package enum Code: String, CaseIterable, Sendable {
  // Host and engine
  case noRuntime = "CG1001"
  case badConfiguration = "CG1002"
  case badArguments = "CG1003"
  case badBundle = "CG1004"
  case badAnnotation = "CG1005"
  case conflictingListener = "CG1006"
  case loosenedByAnnotation = "CG1007"
  case stateDirectory = "CG1008"
  case execFailed = "CG1009"
  case unsupportedHost = "CG1010"
  case noSuchProcess = "CG1011"
  case notTraceable = "CG1012"
  // Profile
  case profileNotInstalled = "CG2001"
  case badProfile = "CG2002"
  case untrappable = "CG2003"
  case filterNotProven = "CG2004"
  case noSuchRecording = "CG2010"
  case badRecording = "CG2011"
  case noImage = "CG2012"
  // Supervisor and inspector
  case supervisorNotStarted = "CG3001"
  case inspectorLost = "CG3002"
  case inspectorLate = "CG3003"
  case snapshotFailed = "CG3004"
  case internalError = "CG3005"
  case supervisorLost = "CG3006"
  case recordingFailed = "CG3007"
  // Verdicts, one a check
  case site = "CG4001"
  case text = "CG4002"
  case function = "CG4003"
  case edge = "CG4004"
  case call = "CG4005"
  case stack = "CG4006"
  case base = "CG4007"
  case seam = "CG4008"
  case residue = "CG4009"
  case canary = "CG4010"
  case signal = "CG4011"
  case lineage = "CG4012"
  case path = "CG4013"
  case unknownFrame = "CG4020"
}
