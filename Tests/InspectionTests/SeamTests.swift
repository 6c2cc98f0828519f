import Inspection
import Samples
import Testing
import Wire

/// `seam` by itself: the program's middle, or its inner function, enters the library's leaf, which makes the system call (`CallSample`).
/// dlsym is permitted, so that `edge` has nothing to say of any pointer to what is exported.
@Suite struct SeamTests {
  private typealias Change = (inout CallSample) -> Void

  private static let notHeld = [Violation(check: .seam, frame: 1, reason: .pointerNotHeld, detail: "leaf")]

  /// The program has called the library's leaf through a pointer.
  private func objections(
    _ permissions: Set<Permission> = [.dlsym], library changeLibrary: Change = { _ in }, _ change: Change
  ) throws -> [Violation] {
    var program = CallSample()
    program.callPointer()
    change(&program)
    var library = CallSample(names: ["leaf"])
    changeLibrary(&library)
    return try CallProcess(program, library: library, isInLibrary: true).finding(permissions).violations
  }

  @Test func `a pointer that no file holds is objected to`() throws {
    #expect(try objections { _ in } == Self.notHeld)
    // Once more by `edge`, where dlsym is not permitted.
    #expect(try objections([]) { _ in } == [Violation(check: .edge, frame: 1, reason: .addressNotTaken)] + Self.notHeld)
  }

  @Test func `a call by name needs no pointer`() throws {
    let found = try objections {
      $0.call(CallSample.stub)
      $0.stub()
      $0.bind(.jumpSlot, "leaf")
    }
    #expect(found == [])
  }

  @Test func `the program's data holds the function`() throws {
    #expect(try objections { $0.bind(.word, "leaf") } == [])
    #expect(try objections { $0.bind(.word, "other") } == Self.notHeld)
  }

  @Test func `the program's code loads the function from the GOT`() throws {
    let loads = try objections {
      $0.bind(.globalData, "leaf")
      $0.image.put([0x48, 0x8b, 0x05], to: CallSample.slot, at: 0xc0)
    }
    #expect(loads == [])
    let calls = try objections {
      $0.bind(.globalData, "leaf")
      $0.image.put([0xff, 0x15], to: CallSample.slot, at: 0xc0)
    }
    #expect(calls == Self.notHeld)
  }

  @Test func `what the program imports only to call it is not held`() throws {
    let found = try objections {
      $0.bind(.jumpSlot, "leaf")
      $0.stub()
      $0.call(CallSample.stub, in: 0xa0)
    }
    #expect(found == Self.notHeld)
  }

  @Test func `a file that asks dlsym and holds the name holds the function`() throws {
    for search in ["dlsym", "dlvsym"] {
      let found = try objections {
        $0.linkage.symbols.append(.wanted(search))
        $0.say("leaf")
      }
      #expect(found == [], "\(search)")
    }
    #expect(try objections { $0.say("leaf") } == Self.notHeld)
    #expect(try objections { $0.linkage.symbols.append(.wanted("dlsym")) } == Self.notHeld)
    let other = try objections {
      $0.linkage.symbols.append(.wanted("dlsym"))
      $0.say("leaflet")
    }
    #expect(other == Self.notHeld)
  }

  @Test func `the library hands the function out in its data, not in its code`() throws {
    let table = try objections(library: { $0.linkage.relocations = [.init(.relative, at: CallSample.slot, addend: CallSample.leaf)] }) {
      _ in
    }
    #expect(table == [])
    #expect(try objections(library: { $0.take(CallSample.leaf) }) { _ in } == Self.notHeld)
  }

  @Test func `a function without a name can only have been given away by its own code`() throws {
    let unnamed: Change = {
      $0.linkage.symbols = []
      $0.take(CallSample.leaf)
    }
    #expect(try objections([], library: unnamed) { _ in } == [])
  }

  @Test func `within the library its own code may hold the function`() throws {
    for (isTaken, expected) in [(true, []), (false, Self.notHeld)] {
      var program = CallSample(names: ["leaf"])
      program.callPointer()
      if isTaken { program.take(CallSample.leaf) }
      #expect(try CallProcess(program).finding([.dlsym]).violations == expected)
    }
  }

  @Test func `libffi may call what a script names, if the profile permits it`() throws {
    func objections(_ permissions: Set<Permission>, exports name: String = "ffi_call") throws -> [Violation] {
      try self.objections(permissions) { $0.linkage.symbols.append(.function(name, at: 0xc0)) }
    }
    #expect(try objections([.dlsym, .foreignCalls]) == [])
    #expect(try objections([.dlsym]) == Self.notHeld)
    #expect(try objections([.dlsym, .foreignCalls], exports: "call_ffi") == Self.notHeld)
  }

  @Test func `the loader calls the functions whose names it holds, and resolvers`() throws {
    func objections(isLoader: Bool, name: String = "", isResolver: Bool = false) throws -> [Violation] {
      try self.objections(library: { if isResolver { $0.linkage.symbols = [.function("leaf", at: 0x40, count: 8, type: 10)] } }) {
        $0.say(name)
        if isLoader { $0.linkage.symbols.append(.function("__tls_get_addr", at: 0xc0)) }
      }
    }
    #expect(try objections(isLoader: true, name: "leaf") == [])
    #expect(try objections(isLoader: true, isResolver: true) == [])
    #expect(try objections(isLoader: true) == Self.notHeld)
    #expect(try objections(isLoader: false, name: "leaf") == Self.notHeld)
    #expect(try objections(isLoader: false, isResolver: true) == Self.notHeld)
  }

  /// `system` jumps to a function without a name, which makes the call.
  @Test func `the function that is held may jump to the one that ran`() throws {
    func objections(_ target: UInt64, _ change: Change) throws -> [Violation] {
      let library: Change = {
        $0.linkage.symbols = [.function("tail", at: 0x80, count: 16)]
        $0.jump(to: target)
      }
      return try self.objections(library: library, change)
    }
    #expect(try objections(CallSample.leaf) { $0.bind(.word, "tail") } == [])
    func notHeld(_ detail: String) -> [Violation] { [Violation(check: .seam, frame: 1, reason: .pointerNotHeld, detail: detail)] }
    // People know the name of the one that jumps.
    #expect(try objections(CallSample.leaf) { _ in } == notHeld("the function at +0x500040, to which tail jumps,"))
    // A function to which it does not jump is none of its.
    let other = try objections(CallSample.other) { $0.bind(.word, "tail") }
    #expect(other == [Violation(check: .edge, frame: 1, reason: .addressNotTaken)] + notHeld("the function at +0x500040"))
  }

  @Test func `a function of the program that jumps to the library's is held in its place`() throws {
    func objections(isTaken: Bool, throughStub: Bool) throws -> [Violation] {
      try self.objections {
        $0.bind(.jumpSlot, "leaf")
        if throughStub {
          $0.stub()
          $0.jump(to: CallSample.stub)
        } else {
          $0.jump([0xff, 0x25], to: CallSample.slot)
        }
        if isTaken { $0.take(CallSample.tail) }
      }
    }
    for throughStub in [true, false] {
      #expect(try objections(isTaken: true, throughStub: throughStub) == [])
      #expect(try objections(isTaken: false, throughStub: throughStub) == Self.notHeld)
    }
  }

  @Test func `dlsym may give the program's function that jumps there, if the profile permits it`() throws {
    func objections(_ permissions: Set<Permission>, name: String) throws -> [Violation] {
      try self.objections(permissions) {
        $0.bind(.jumpSlot, "leaf")
        $0.jump([0xff, 0x25], to: CallSample.slot)
        $0.linkage.symbols.append(.function(name, at: name == "tail" ? 0x80 : 0x50))
      }
    }
    #expect(try objections([.dlsym], name: "tail") == [])
    #expect(try objections([.dlsym], name: "other") == Self.notHeld)
    #expect(try objections([], name: "tail").map(\.check) == [.edge, .seam])
  }

  /// Linkers give the whole PLT one FDE.
  @Test(arguments: [16, 8])
  func `a function that jumps to another stub of the PLT is none that jumps to this one`(stubBytes: Int) throws {
    for (stub, expected) in [(stubBytes, []), (0, Self.notHeld)] {
      let found = try objections {
        $0.linkage.extras = [.init(".plt", address: CallSample.stub, bytes: [UInt8](repeating: 0, count: 32))]
        $0.image.entries.append(.init(offset: 0x60, count: 32, instructions: []))
        $0.bind(.jumpSlot, "puts")
        $0.bind(.jumpSlot, "leaf", index: 1)
        $0.stub()
        $0.jump([0xff, 0x25], to: CallSample.slot + 8, at: CallSample.stub + UInt64(stubBytes))
        $0.jump(to: CallSample.stub + UInt64(stub))
        $0.take(CallSample.tail)
      }
      #expect(found == expected, "\(stub)")
    }
  }

  @Test func `further out than the library's own frames a pointer is no matter of seam's`() throws {
    // The middle calls the inner function through a pointer that nobody holds, and that the library by name.
    var program = CallSample(names: ["inner"])
    program.callPointer()
    program.call(CallSample.stub, in: 0xa0)
    program.stub()
    program.bind(.jumpSlot, "leaf")
    // What is known of a call is kept with the files, for one profile's permissions.
    func violations(_ permissions: Set<Permission>) throws -> [Violation] {
      try CallProcess(program, library: CallSample(names: ["leaf"]), isInLibrary: true, throughInner: true).finding(permissions).violations
    }
    #expect(try violations([.dlsym]) == [])
    #expect(try violations([]) == [Violation(check: .edge, frame: 2, reason: .addressNotTaken)])
    // In the file that makes the call it is.
    program.call(CallSample.leaf, in: 0xa0)
    let own = try CallProcess(program, throughInner: true).finding([.dlsym])
    #expect(own.violations == [Violation(check: .seam, frame: 2, reason: .pointerNotHeld, detail: "inner")])
  }

  @Test func `what was found once is found again`() throws {
    for (isHeld, expected) in [(true, []), (false, Self.notHeld)] {
      var program = CallSample()
      program.callPointer()
      if isHeld { program.bind(.word, "leaf") }
      let process = try CallProcess(program, library: CallSample(names: ["leaf"]), isInLibrary: true)
      for _ in 0..<3 { #expect(process.finding([.dlsym]).violations == expected) }
    }
  }
}
