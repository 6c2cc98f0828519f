/// What becomes of a verdict, from the more lenient to the stricter.
package enum Mode: String, CaseIterable, Sendable, Comparable {
  /// Violations are written down; the call goes on.
  case audit
  /// Violations have the consequence that the profile names.
  case enforce

  package static func < (a: Mode, b: Mode) -> Bool { a == .audit && b == .enforce }
}
