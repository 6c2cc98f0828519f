/// Where a value was written. Lines and columns count from 1.
package struct Origin: Hashable, Sendable {
  /// The profile's name, and its file as messages name it.
  package var profile: String
  package var file: String
  package var line: Int
  package var column: Int

  package init(profile: String, file: String, line: Int, column: Int) {
    self.profile = profile
    self.file = file
    self.line = line
    self.column = column
  }

  package var place: String { "\(file):\(line):\(column)" }
}

/// One effective value of a profile.
package enum ProfileItem: Hashable, Sendable {
  /// By the system call.
  case trap(String), never(String), absent(String)
  /// By the check's name.
  case check(String)
  case permission(String), jit(String)
  /// By its place in `Profile.paths`.
  case path(Int)
  /// By its name.
  case module(String)
  case onViolation, noUnwindInfo, depth, onLimit, complainUntil
}

/// A profile as it takes effect, with all that it extends, and who said what.
package struct ResolvedProfile: Equatable, Sendable {
  package var profile: Profile
  /// In the order in which they had a say, the one that decides last: a trap's condition may come from several. What is missing is the format's
  /// own default.
  package var origins: [ProfileItem: [Origin]]
  /// The files that were read, by the profile's name: the profile's own first, then what it extends.
  package var files: [File]

  package struct File: Hashable, Sendable {
    package var profile: String
    package var file: String

    package init(profile: String, file: String) {
      self.profile = profile
      self.file = file
    }
  }

  package init(profile: Profile, origins: [ProfileItem: [Origin]], files: [File]) {
    self.profile = profile
    self.origins = origins
    self.files = files
  }

  /// Who has the last word on `item`; nil where nobody spoke of it.
  package func origin(of item: ProfileItem) -> Origin? { origins[item]?.last }
}
