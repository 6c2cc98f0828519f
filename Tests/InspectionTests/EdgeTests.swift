import Inspection
import Samples
import Testing
import Wire

/// `edge` by itself: which function the middle's call can have led to (`CallSample`). The leaf is what runs.
@Suite struct EdgeTests {
  private typealias Change = @Sendable (inout CallSample) -> Void

  /// What `edge` says of a program whose functions have names that only serve to show them.
  private func objections(_ change: Change, _ permissions: Set<Permission> = []) throws -> [Violation] {
    var program = CallSample(names: ["leaf", "other", "tail"])
    change(&program)
    return try CallProcess(program).finding(permissions).violations
  }

  private func otherCallee(_ name: String) -> [Violation] {
    [Violation(check: .edge, frame: 1, reason: .otherCallee, detail: name)]
  }

  // MARK: Direct calls

  @Test func `a direct call leads to the function that it names`() throws {
    #expect(try objections { $0.call(CallSample.leaf) } == [])
    #expect(try objections { $0.call(CallSample.other) } == otherCallee("other"))
  }

  @Test func `that the address is taken does not make another function the one that was called`() throws {
    let found = try objections(
      {
        $0.call(CallSample.other)
        $0.take(CallSample.leaf)
      }, [.dlsym])
    #expect(found == otherCallee("other"))
  }

  @Test(arguments: [[0xe9], [0x0f, 0x84]] as [[UInt8]])
  func `a tail jump lies in between`(opcode: [UInt8]) throws {
    for (target, expected) in [(CallSample.leaf, []), (CallSample.other, otherCallee("tail"))] {
      let found = try objections {
        $0.call(CallSample.tail)
        $0.jump(opcode, to: target)
      }
      #expect(found == expected)
    }
  }

  @Test func `two tail jumps lie in between`() throws {
    let found = try objections {
      $0.call(CallSample.tail)
      $0.jump(to: CallSample.other)
      $0.jump(to: CallSample.leaf, at: CallSample.other)
    }
    #expect(found == [])
  }

  @Test func `a function that has no end falls into the next`() throws {
    #expect(try objections { $0.call(CallSample.code + 0x38) } == [])
    let ends = try objections {
      $0.call(CallSample.code + 0x38)
      $0.image.put([0xc3], at: 0x3f)
    }
    #expect(ends == otherCallee("the function at +0x500038"))
  }

  // MARK: By the PLT and the GOT

  @Test(arguments: [[], [0xf3, 0x0f, 0x1e, 0xfa], [0xf3, 0x0f, 0x1e, 0xfa, 0xf2]] as [[UInt8]])
  func `a stub of the PLT leads to the function of its word's name`(prefix: [UInt8]) throws {
    for (name, expected) in [("leaf", []), ("other", otherCallee("other"))] {
      let found = try objections {
        $0.call(CallSample.stub)
        $0.stub(prefix: prefix)
        $0.bind(.jumpSlot, name)
      }
      #expect(found == expected)
    }
  }

  @Test func `a call through the GOT leads to the function of its word's name`() throws {
    for (name, expected) in [("leaf", []), ("other", otherCallee("other"))] {
      let found = try objections {
        $0.call(CallSample.slot, by: [0xff, 0x15])
        $0.bind(.globalData, name)
      }
      #expect(found == expected)
    }
  }

  @Test func `a tail jump through the GOT is one by name`() throws {
    for (name, expected) in [("leaf", []), ("other", otherCallee("tail"))] {
      let found = try objections {
        $0.call(CallSample.tail)
        // Past an instruction: else it would be a stub.
        $0.jump([0x31, 0xc0, 0xff, 0x25], to: CallSample.slot)
        $0.bind(.globalData, name)
      }
      #expect(found == expected)
    }
  }

  @Test func `an IFUNC leads to what its resolver chooses among`() throws {
    for (choice, isRight) in [(CallSample.leaf, true), (CallSample.other, false)] {
      let found = try objections {
        $0.call(CallSample.stub)
        $0.stub()
        $0.linkage.relocations = [.init(.indirect, at: CallSample.slot, addend: CallSample.code + 0xc0)]
        $0.take(choice)
      }
      #expect(found.isEmpty == isRight)
    }
  }

  @Test func `a resolver is not what it chooses`() throws {
    let found = try objections {
      $0.call(CallSample.stub)
      $0.stub()
      $0.linkage.relocations = [.init(.indirect, at: CallSample.slot, addend: CallSample.leaf)]
    }
    #expect(found.map(\.reason) == [.otherCallee])
  }

  @Test(arguments: [("leaf", true), ("other", false)])
  func `another file's function is known by the name that it exports`(exported: String, isRight: Bool) throws {
    var program = CallSample()
    program.call(CallSample.stub)
    program.stub()
    program.bind(.jumpSlot, "leaf")
    var library = CallSample()
    library.linkage.symbols = [.function(exported, at: 0x40), .function(isRight ? "other" : "leaf", at: 0x50)]
    let found = try CallProcess(program, library: library, isInLibrary: true).finding()
    #expect(found.violations == (isRight ? [] : otherCallee("leaf")), "\(shown(found))")
  }

  @Test func `the same place of another file is another function`() throws {
    var program = CallSample(names: ["leaf"])
    program.call(CallSample.leaf)
    let found = try CallProcess(program, library: CallSample(names: ["leaf"]), isInLibrary: true).finding()
    #expect(found.violations == otherCallee("leaf"))
  }

  @Test(arguments: [([], true), (["leaf"], false)] as [(Set<String>, Bool)])
  func `a word that is not bound yet leads into the loader, which binds it`(names: Set<String>, isRight: Bool) throws {
    var program = CallSample()
    program.call(CallSample.stub)
    program.stub()
    program.bind(.jumpSlot, "puts")
    var loader = CallSample(names: names)
    loader.linkage.symbols += [.function("__tls_get_addr", at: 0x50), .function("_dl_mcount", at: 0x80)]
    #expect(try CallProcess(program, library: loader, isInLibrary: true).finding().violations == (isRight ? [] : otherCallee("puts")))
    // musl's binds all when it loads a file, and what is no loader binds nothing.
    for missing in ["_dl_mcount", "__tls_get_addr"] {
      var library = loader
      library.linkage.symbols.removeAll { $0.name == missing }
      #expect(try CallProcess(program, library: library, isInLibrary: true).finding().violations == otherCallee("puts"))
    }
  }

  @Test func `the loader's own words are bound before it runs`() throws {
    let found = try objections {
      $0.call(CallSample.stub)
      $0.stub()
      $0.bind(.jumpSlot, "puts")
      $0.linkage.symbols.removeAll { $0.name == "leaf" }
      $0.linkage.relocations[0].symbol = $0.linkage.symbols.firstIndex { $0.name == "puts" }
      $0.linkage.symbols += [.function("__tls_get_addr", at: 0xc0), .function("_dl_mcount", at: 0xc0)]
    }
    #expect(found == otherCallee("puts"))
  }

  // MARK: Through a pointer

  /// The ways in which one file's call gets to lead wherever a word or register says.
  private static let pointers: [(name: String, change: Change)] = [
    ("a register", { $0.callPointer() }),
    ("a variable", { $0.call(CallSample.slot, by: [0xff, 0x15]) }),
    (
      "a stub through a variable",
      {
        $0.call(CallSample.stub)
        $0.stub()
      }
    ),
    (
      "a tail jump through a register",
      {
        $0.call(CallSample.tail)
        $0.image.put([0xff, 0xe0], at: 0x80)
      }
    ),
    (
      "a retpoline",
      {
        $0.call(CallSample.tail)
        $0.image.put([0xe8, 1, 0, 0, 0, 0xcc, 0x48, 0x89, 0x04, 0x24, 0xc3], at: 0x80)
      }
    ),
  ]

  @Test(arguments: pointers.indices)
  func `a pointer leads to a function whose address is taken`(index: Int) throws {
    let (name, change) = Self.pointers[index]
    let notTaken = try objections(change).filter { $0.check == .edge }
    #expect(notTaken == [Violation(check: .edge, frame: 1, reason: .addressNotTaken)], "\(name)")
    let taken = try objections {
      change(&$0)
      $0.take(CallSample.leaf)
    }
    #expect(taken == [], "\(name)")
  }

  /// Whether `edge` lets a call through a pointer lead to the leaf.
  private func isTaken(_ permissions: Set<Permission> = [], names: Set<String> = [], _ change: Change) throws -> Bool {
    var program = CallSample(names: names)
    program.callPointer()
    change(&program)
    return try !CallProcess(program).finding(permissions).violations.contains { $0.check == .edge }
  }

  @Test func `a relocation of data takes an address`() throws {
    #expect(try isTaken { $0.linkage.relocations = [.init(.relative, at: CallSample.slot, addend: CallSample.leaf)] })
    #expect(try !isTaken { $0.linkage.relocations = [.init(.relative, at: CallSample.slot, addend: CallSample.other)] })
  }

  @Test func `that it is called by name takes no address`() throws {
    #expect(
      try !isTaken(names: ["leaf"]) {
        $0.call(CallSample.leaf, in: 0xa0)
        $0.bind(.jumpSlot, "leaf")
        $0.stub()
      })
  }

  @Test func `a function that jumps there may be the one whose address is taken`() throws {
    func isTaken(_ target: UInt64) throws -> Bool {
      try self.isTaken {
        $0.take(CallSample.tail)
        $0.jump(to: target)
      }
    }
    #expect(try isTaken(CallSample.leaf) && !isTaken(CallSample.other))
  }

  @Test func `dlsym gives any function that its file exports, if the profile permits it`() throws {
    #expect(try isTaken([.dlsym], names: ["leaf"]) { _ in })
    #expect(try !isTaken([.dlsym], names: ["other"]) { _ in })
    #expect(try !isTaken(Set(Permission.allCases).subtracting([.dlsym]), names: ["leaf"]) { _ in })
  }

  @Test func `what was found once is found again`() throws {
    for (isTaken, count) in [(true, 0), (false, 1)] {
      var program = CallSample(names: ["leaf"])
      program.callPointer()
      if isTaken { program.take(CallSample.leaf) }
      let process = try CallProcess(program)
      for _ in 0..<3 { #expect(process.finding().violations.filter { $0.check == .edge }.count == count) }
    }
  }
}
