/// One element of a chain that a profile lists.
package enum PathElement: Hashable, Sendable, CustomStringConvertible {
  /// `...`: any number of frames, none too, of the modules that the chain names.
  case anyFrames
  /// `libc:*`
  case anyFunction(of: String)
  /// `libc:execve`
  case function(String, of: String)
  /// `libfoo:+0x1a2c0`: a function without a name, by its start in the file.
  case start(UInt64, of: String)

  /// nil where `text` is none of these.
  package init?(_ text: String) {
    if text == "..." {
      self = .anyFrames
      return
    }
    guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
    let (module, function) = (String(text[..<colon]), text[text.index(after: colon)...])
    switch function.first {
    case nil: return nil
    case "*" where function.count == 1: self = .anyFunction(of: module)
    case "+":
      guard function.hasPrefix("+0x"), let start = UInt64(function.dropFirst(3), radix: 16) else { return nil }
      self = .start(start, of: module)
    case _?: self = .function(String(function), of: module)
    }
  }

  package var description: String {
    switch self {
    case .anyFrames: "..."
    case .anyFunction(let module): "\(module):*"
    case .function(let name, let module): "\(module):\(name)"
    case .start(let start, let module): "\(module):+0x\(String(start, radix: 16))"
    }
  }

  package var module: String? {
    switch self {
    case .anyFrames: nil
    case .anyFunction(let module), .function(_, let module), .start(_, let module): module
    }
  }
}

/// A file that chains name, where its name alone does not do.
package struct PathModule: Equatable, Sendable {
  package var name: String
  /// As the process sees it.
  package var path: String?
  /// What identifies it, where it is given: the path is a hint then. Lower-case hex.
  package var buildID: String?
  /// What its functions look like, by their starts in the file: hexadecimal digits. For people and for another build's file; no message
  /// holds it, and no verdict rests on it.
  package var functions: [UInt64: String]

  package init(name: String, path: String? = nil, buildID: String? = nil, functions: [UInt64: String] = [:]) {
    self.name = name
    self.path = path
    self.buildID = buildID
    self.functions = functions
  }
}

/// The ways to one system call that a profile lists.
package struct Paths: Equatable, Sendable {
  /// Of those that are allowed, and of those that are denied.
  package static let maxChains = 64
  package static let maxElements = 64
  package static let maxModules = 64
  /// Mangled names are long; what a file's symbols are read to.
  package static let maxTextBytes = 512
  /// A message holds them beside a snapshot.
  package static let maxBytes = 24576

  /// The module of code that a runtime made.
  package static let madeCode = "jit"

  package var modules: [PathModule]
  /// Each innermost first, and not empty.
  package var chains: [[PathElement]]
  /// Those that are never allowed, whatever `chains` say; there `...` is any frames at all.
  package var denied: [[PathElement]]

  package init(modules: [PathModule] = [], chains: [[PathElement]] = [], denied: [[PathElement]] = []) {
    self.modules = modules
    self.chains = chains
    self.denied = denied
  }

  package var isEmpty: Bool { chains.isEmpty && denied.isEmpty }

  /// What they take of a message.
  package var bytes: Int {
    var out = Writer(reserving: 512)
    out.put(self)
    return out.bytes.count
  }

  /// The file at `path` is what chains mean by `name`.
  package func isModule(_ name: String, path: String, buildID: String) -> Bool {
    guard let module = modules.first(where: { $0.name == name }) else { return moduleName(path).elementsEqual(name.utf8) }
    if let wanted = module.buildID { return wanted == buildID }
    return module.path.map { $0.utf8.elementsEqual(path.utf8) } ?? false
  }
}

/// What a file is called by where nothing else is said of it: its name up to `.so`. Byte by byte, as its name is its owner's choice.
package func moduleName(_ path: String) -> Substring.UTF8View.SubSequence {
  let file = lastComponent(of: path)
  for index in file.indices where file[index...].starts(with: ".so".utf8) {
    let rest = file[index...].dropFirst(3)
    if index != file.startIndex, rest.isEmpty || rest.first == UInt8(ascii: ".") { return file[..<index] }
  }
  return file
}

extension Writer {
  mutating func put(_ paths: Paths) {
    put(UInt32(paths.modules.count))
    for module in paths.modules {
      for text in [module.name, module.path ?? "", module.buildID ?? ""] { put(text, limit: Paths.maxTextBytes) }
    }
    for chains in [paths.chains, paths.denied] {
      put(UInt32(chains.count))
      for chain in chains {
        put(UInt32(chain.count))
        for element in chain { put(element.description, limit: Paths.maxTextBytes) }
      }
    }
  }
}

extension Reader {
  mutating func takePaths() throws(WireError) -> Paths {
    var paths = Paths()
    for _ in 0..<(try takeCount(limit: Paths.maxModules)) {
      let name = try takeString(limit: Paths.maxTextBytes)
      let path = try takeString(limit: Paths.maxTextBytes)
      let buildID = try takeString(limit: Paths.maxTextBytes)
      paths.modules.append(
        PathModule(name: name, path: path.isEmpty ? nil : path, buildID: buildID.isEmpty ? nil : buildID))
    }
    paths.chains = try takeChains()
    paths.denied = try takeChains()
    return paths
  }

  private mutating func takeChains() throws(WireError) -> [[PathElement]] {
    var chains: [[PathElement]] = []
    for _ in 0..<(try takeCount(limit: Paths.maxChains)) {
      var chain: [PathElement] = []
      for _ in 0..<(try takeCount(limit: Paths.maxElements)) {
        let place = offset
        guard let element = PathElement(try takeString(limit: Paths.maxTextBytes)) else { throw .badValue(offset: place) }
        chain.append(element)
      }
      chains.append(chain)
    }
    return chains
  }
}
