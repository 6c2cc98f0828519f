import ArgumentParser
import Diagnostics

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what a code such as CG4005 means and what to do.",
    discussion: "Every refusal and every denial carries such a code. Without one, all are listed.")

  @Argument(help: "The code.") var code: String?

  func run() throws {
    guard let code else {
      for code in Code.allCases { print("\(code.rawValue)  \(code.meaning)") }
      return
    }
    guard let known = Code(rawValue: code.uppercased()) else {
      throw ValidationError("there is no code '\(code)'; all of them: callgatectl explain")
    }
    print("\(known.rawValue)  \(known.meaning)\n\nWhat to do: \(known.remedy)")
  }
}
