package import Diagnostics

/// What became of one trapped syscall that was not simply allowed: a line of the events file, and what `callgatectl why` prints.
package struct Event: Equatable, Sendable {
  /// What callgate did.
  package enum Outcome: Equatable, Sendable {
    /// The process was killed before any answer.
    case killed
    /// All processes of the container were killed, before any answer.
    case containerKilled
    /// The syscall failed with the errno of this name.
    case failed(String)
    /// Seen and let through: the mode or the check's setting is audit.
    case audited
    /// No call: something about the supervision itself.
    case noted
  }

  /// Sorts by time; unique within the events of one host.
  package var id: String
  /// Milliseconds since 1970.
  package var time: Int64
  /// Container or run.
  package var container: String
  package var profile: String
  /// Empty where the record is of a version that did not tell.
  package var profileVersion: String
  /// As `callgatectl profile list` prints it; empty as above.
  package var profileDigest: String
  package var outcome: Outcome
  package var code: Code
  package var process: UInt32
  package var thread: UInt32
  /// The process's name as it gives it itself.
  package var command: String
  package var syscall: String
  /// A person's view of the arguments; the pointed-to bytes were read once and may have changed since.
  package var arguments: String
  /// The sentence that says why.
  package var because: String
  /// Checks that objected, with the frame each objected to.
  package var marks: [Mark]
  package var frames: [Line]
  /// Code addresses just below SP, the nearest first: what the thread returned through last. Evidence, not a judgement.
  package var below: [Line]
  /// The profile's setting that decided, e.g. "call = enforce".
  package var rule: String
  /// Events of this container that were counted and not written since the last written one.
  package var suppressed: Int

  package struct Mark: Equatable, Sendable {
    package var frame: Int
    package var check: String
    package var because: String

    package init(frame: Int, check: String, because: String) {
      self.frame = frame
      self.check = check
      self.because = because
    }
  }

  /// One frame: module + offset, and the function where the file names one.
  package struct Line: Equatable, Sendable {
    package var place: String
    package var function: String
    package var source: String

    package init(place: String, function: String, source: String) {
      self.place = place
      self.function = function
      self.source = source
    }
  }

  package init(
    id: String, time: Int64, container: String, profile: String, profileVersion: String = "", profileDigest: String = "",
    outcome: Outcome, code: Code, process: UInt32, thread: UInt32, command: String, syscall: String, arguments: String, because: String,
    marks: [Mark], frames: [Line], below: [Line] = [], rule: String,
    suppressed: Int
  ) {
    self.id = id
    self.time = time
    self.container = container
    self.profile = profile
    self.profileVersion = profileVersion
    self.profileDigest = profileDigest
    self.outcome = outcome
    self.code = code
    self.process = process
    self.thread = thread
    self.command = command
    self.syscall = syscall
    self.arguments = arguments
    self.because = because
    self.marks = marks
    self.frames = frames
    self.below = below
    self.rule = rule
    self.suppressed = suppressed
  }
}
