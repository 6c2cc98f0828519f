/// A message for a person, with a stable code and, where the person can act, a way out.
///
/// Text is lower case and says what could not be done and why: "cannot read '/x': not a directory".
package struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let code: Code
  package let message: String
  package let hint: String?

  package init(_ code: Code, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }

  /// One line: `message (CGnnnn); hint`.
  package var description: String {
    hint.map { "\(message) (\(code.rawValue)); \($0)" } ?? "\(message) (\(code.rawValue))"
  }
}
