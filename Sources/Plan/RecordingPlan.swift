/// Where the ways of a container's calls are recorded.
package struct RecordingPlan: Equatable, Sendable {
  package var name: String
  /// The run's own file.
  package var file: String
  /// While it is there, nothing more is recorded.
  package var stopFile: String

  package init(name: String, file: String, stopFile: String) {
    self.name = name
    self.file = file
    self.stopFile = stopFile
  }
}
