import ArgumentParser
import Authoring
import JSON
import Profile

extension ProfileCommand {
  struct Groups: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the groups of system calls that a profile can trap.")

    @Flag(help: "One JSON object a group, in an array.") var json = false

    func run() throws {
      guard !json else { return printJSON(.array(Group.all.map(\.json))) }
      for group in Group.all {
        print(([group.name] + wrapped(group.sentence, width: 78, indent: 2, hanging: 0)).joined(separator: "\n"))
        for trap in group.traps { print("    \(trap.syscall)\(trap.condition.map { "  \($0.words)" } ?? "")") }
        for name in group.absent { print("    \(name)  answered with ENOSYS") }
      }
    }
  }
}

extension Group {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("name", .string(name)), JSONMember("sentence", .string(sentence)), JSONMember("traps", .array(traps.map(\.json))),
      JSONMember("absent", .array(absent.map(JSONValue.string))),
    ])
  }
}

extension Trap {
  fileprivate var json: JSONValue {
    var members = [JSONMember("syscall", .string(syscall))]
    if let condition {
      members += [
        JSONMember("argument", .integer(condition.argument)), JSONMember(condition.relation.rawValue, .integer(condition.mask)),
      ]
    }
    return .object(members)
  }
}
