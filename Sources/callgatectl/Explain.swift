import ArgumentParser
import Diagnostics
import JSON

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what a code such as CG4005 means and what to do.",
    discussion: "Every refusal and every denial carries such a code. Without one, all are listed.")

  @Argument(help: "The code.") var code: String?
  @Flag(help: "One JSON object a code, in an array.") var json = false

  func run() throws {
    guard let code else {
      if json { return printJSON(.array(Code.allCases.map(\.json))) }
      for code in Code.allCases { print("\(code.rawValue)  \(code.meaning)") }
      return
    }
    guard let known = Code(rawValue: code.uppercased()) else {
      throw ValidationError("there is no code '\(code)'; all of them: callgatectl explain")
    }
    if json { return printJSON(.array([known.json])) }
    print("\(known.rawValue)  \(known.meaning)\n\nWhat to do: \(known.remedy)")
  }
}

extension Code {
  fileprivate var json: JSONValue {
    .object([JSONMember("code", .string(rawValue)), JSONMember("meaning", .string(meaning)), JSONMember("remedy", .string(remedy))])
  }
}
