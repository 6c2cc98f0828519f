internal import Diagnostics
internal import Wire
internal import YAML

/// `spec.modules` and `spec.paths`.
extension ProfileReader {
  /// `{nginx: {path: /usr/sbin/nginx, buildId: 3c1e5a07}}`
  func modules(_ node: YAMLNode?) throws(Refusal) -> [PathModule] {
    guard let node else { return [] }
    guard let entries = node.entries else { throw refuse(node, "spec.modules must be a mapping, not \(node.kind)") }
    guard entries.count <= Paths.maxModules else { throw refuse(node, "a profile names at most \(Paths.maxModules) modules") }
    var modules: [PathModule] = []
    for entry in entries {
      guard !entry.key.isEmpty, !entry.key.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }) else {
        throw Refusal(.badProfile, "\(file):\(entry.line):\(entry.column): '\(entry.key)' is no module's name")
      }
      guard entry.key != Paths.madeCode else {
        throw Refusal(
          .badProfile, "\(file):\(entry.line):\(entry.column): '\(Paths.madeCode)' stands for code made at run time, which is no file's")
      }
      let fields = try fields(entry.value, "module '\(entry.key)'", optional: ["path", "buildId"])
      guard !fields.values.isEmpty else { throw refuse(entry.value, "module '\(entry.key)' has neither path nor buildId") }
      modules.append(
        PathModule(
          name: entry.key, path: try fields.values["path"].map(modulePath), buildID: try fields.values["buildId"].map(buildID)))
    }
    return modules
  }

  private func modulePath(_ node: YAMLNode) throws(Refusal) -> String {
    let path = try text(node, "a module's path")
    guard path.hasPrefix("/"), path.utf8.count <= Paths.maxTextBytes else { throw refuse(node, "a module's path begins with '/'") }
    return path
  }

  /// As `file` and `readelf -n` show it.
  private func buildID(_ node: YAMLNode) throws(Refusal) -> String {
    let text = try text(node, "a build id")
    let isHex = text.utf8.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
    }
    guard isHex, text.utf8.count % 2 == 0, (8...64).contains(text.utf8.count) else {
      throw refuse(node, "'\(text)' is no build id: lower-case hexadecimal digits, all of them")
    }
    return text
  }

  /// `- {syscalls: [execve], chain: ["libc:execve", "nginx:ngx_execute_proc", "...", "nginx:main"]}`
  func paths(_ node: YAMLNode?, _ modules: [PathModule], _ traps: [Trap]) throws(Refusal) -> [PathRule] {
    var rules: [PathRule] = []
    for element in try node.map({ node throws(Refusal) in try list(node, "spec.paths") }) ?? [] {
      let fields = try fields(element, "a path", required: ["syscalls", "chain"])
      let calls = fields.values["syscalls"]!
      for name in try list(calls, "syscalls") { try requireTrapped(name, traps) }
      let rule = PathRule(syscalls: try names(calls, "syscalls"), chain: try chain(fields.values["chain"]!))
      guard !rule.syscalls.isEmpty else { throw refuse(calls, "a path leads to some system call") }
      rules.append(rule)
      for name in rule.syscalls {
        let paths = Paths(to: name, by: rules, in: modules)
        guard paths.chains.count <= Paths.maxChains, paths.bytes <= Paths.maxBytes else {
          throw refuse(element, "the paths to '\(name)' are too many: \(Paths.maxChains) of \(Paths.maxBytes) bytes in all can be kept")
        }
      }
    }
    let named = Set(rules.flatMap(\.chain).compactMap(\.module))
    // What is misspelled here or there would match nothing.
    for module in modules where !named.contains(module.name) {
      let near = nearest(module.name, among: named).map { "; did you mean '\($0)'?" } ?? ""
      throw Refusal(.badProfile, "\(file): module '\(module.name)' is named by no chain of spec.paths\(near)")
    }
    return rules
  }

  private func requireTrapped(_ node: YAMLNode, _ traps: [Trap]) throws(Refusal) {
    let name = try syscall(node)
    guard !traps.contains(where: { $0.syscall == name }) else { return }
    let near = nearest(name, among: traps.map(\.syscall)).map { "; did you mean '\($0)'?" } ?? ""
    throw refuse(node, "'\(name)' is not trapped, so no path to it would ever be looked at\(near)")
  }

  private func chain(_ node: YAMLNode) throws(Refusal) -> [PathElement] {
    var chain: [PathElement] = []
    for element in try list(node, "a chain") {
      let text = try text(element, "an element of a chain")
      guard let parsed = PathElement(text), text.utf8.count <= Paths.maxTextBytes else {
        throw refuse(element, "'\(text)' is no element of a chain: 'module:function', 'module:+0x1a2c0', 'module:*', or '...'")
      }
      chain.append(parsed)
    }
    guard chain.contains(where: { $0 != .anyFrames }) else { throw refuse(node, "a chain names at least one function") }
    guard chain.count <= Paths.maxElements else { throw refuse(node, "a chain has at most \(Paths.maxElements) elements") }
    return chain
  }
}
