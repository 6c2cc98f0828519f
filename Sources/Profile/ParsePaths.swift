internal import Diagnostics
package import Wire
internal import YAML

/// `spec.modules` and `spec.paths`.
extension ProfileReader {
  /// `{nginx: {path: /usr/sbin/nginx, buildId: 3c1e5a07, functions: {"+0x1a2c0": 9f27c6d4a18b3e50}}}`
  func modules(_ node: YAMLNode?) throws(Refusal) -> [Given<PathModule>] {
    guard let node else { return [] }
    guard let entries = node.entries else { throw refuse(node, "spec.modules must be a mapping, not \(node.kind)") }
    guard entries.count <= Paths.maxModules else { throw refuse(node, "a profile names at most \(Paths.maxModules) modules") }
    var modules: [Given<PathModule>] = []
    for entry in entries {
      guard !entry.key.isEmpty, !entry.key.utf8.contains(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }) else {
        throw Refusal(.badProfile, "\(file):\(entry.line):\(entry.column): '\(entry.key)' is no module's name")
      }
      guard entry.key != Paths.madeCode else {
        throw Refusal(
          .badProfile, "\(file):\(entry.line):\(entry.column): '\(Paths.madeCode)' stands for code made at run time, which is no file's")
      }
      let fields = try fields(entry.value, "module '\(entry.key)'", optional: ["path", "buildId", "functions"])
      guard fields.values["path"] != nil || fields.values["buildId"] != nil else {
        throw refuse(entry.value, "module '\(entry.key)' has neither path nor buildId")
      }
      let module = PathModule(
        name: entry.key, path: try fields.values["path"].map(modulePath), buildID: try fields.values["buildId"].map(buildID),
        functions: try fields.values["functions"].map(functions) ?? [:])
      modules.append(
        Given(value: module, origin: Origin(profile: name, file: file, line: entry.line, column: entry.column)))
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
    guard PathModule.isBuildID(text) else {
      throw refuse(node, "'\(text)' is no build id: lower-case hexadecimal digits, all of them")
    }
    return text
  }

  private func functions(_ node: YAMLNode) throws(Refusal) -> [UInt64: String] {
    guard let entries = node.entries else { throw refuse(node, "a module's functions must be a mapping, not \(node.kind)") }
    guard entries.count <= Profile.maxFunctions else { throw refuse(node, "a module lists at most \(Profile.maxFunctions) functions") }
    var functions: [UInt64: String] = [:]
    for entry in entries {
      func refuseKey(_ reason: String) -> Refusal { Refusal(.badProfile, "\(file):\(entry.line):\(entry.column): \(reason)") }
      guard entry.key.hasPrefix("+0x"), let start = UInt64(entry.key.dropFirst(3), radix: 16) else {
        throw refuseKey("'\(entry.key)' is no start of a function in its file, such as '+0x1a2c0'")
      }
      let text = try text(entry.value, "what a function looks like")
      guard isHex(text), (16...64).contains(text.utf8.count) else {
        throw refuse(entry.value, "'\(text)' is no fingerprint: 16 to 64 lower-case hexadecimal digits")
      }
      guard functions.updateValue(text, forKey: start) == nil else { throw refuseKey("the function at '\(entry.key)' is listed twice") }
    }
    return functions
  }

  /// `- {syscalls: [execve], chain: ["libc:execve", "nginx:ngx_execute_proc", "...", "nginx:main"]}`, and `deny`, `onViolation`, `reason`
  func paths(_ node: YAMLNode?) throws(Refusal) -> [Layer.PathEntry] {
    guard let node else { return [] }
    var paths: [Layer.PathEntry] = []
    for element in try list(node, "spec.paths", limit: Profile.maxPaths) {
      let fields = try fields(element, "a path", required: ["syscalls", "chain"], optional: ["deny", "onViolation", "reason"])
      let calls = try names(fields.values["syscalls"]!, "syscalls")
      guard !calls.isEmpty else { throw refuse(fields.values["syscalls"]!, "a path leads to some system call") }
      let rule = PathRule(
        syscalls: calls.map(\.value).sorted(), chain: try chain(fields.values["chain"]!),
        isDenied: try fields.values["deny"].map(flag) ?? false,
        onViolation: try fields.values["onViolation"].map { node throws(Refusal) in try action(node, "onViolation") },
        reason: try fields.values["reason"].map { node throws(Refusal) in try text(node, "a path's reason", limit: Profile.maxReasonBytes) }
      )
      paths.append(Layer.PathEntry(rule: rule, origin: origin(element), calls: calls))
    }
    return paths
  }

  private func flag(_ node: YAMLNode) throws(Refusal) -> Bool {
    switch node.content {
    case .scalar("true", isPlain: true): return true
    case .scalar("false", isPlain: true): return false
    case .scalar, .sequence, .mapping: throw refuse(node, "'deny' is true or false")
    }
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

extension PathModule {
  /// A build id as `file` and `readelf -n` show it, and as a profile takes it.
  package static func isBuildID(_ text: String) -> Bool { isHex(text) && text.utf8.count % 2 == 0 && (8...64).contains(text.utf8.count) }
}

/// Lower case only: one thing has one spelling.
private func isHex(_ text: String) -> Bool {
  text.utf8.allSatisfy {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
  }
}
