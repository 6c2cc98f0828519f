import ELF
import Flow
import Foundation
import Samples
import Testing
import Unwind
import Wire
import X86

/// What the instructions of one function say of its frame, at its calls.
@Suite struct ShapeTests {
  private static let start = ImageAddress(SampleImage.codeAddress)
  private static let call: [UInt8] = [0xe8, 0, 0x10, 0, 0]
  /// mov %fs:0x28,%rax
  private static let load: [UInt8] = [0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0]

  private func analysis(_ code: [UInt8], count: Int? = nil) throws -> (FlowAnalysis, isFixed: Bool) {
    var image = SampleImage(code: code)
    image.hasHeader = false
    var budget = Budget(1 << 20)
    let range = AddressRange(start: ShapeTests.start, count: UInt64(count ?? code.count))
    var analysis = try FlowAnalysis(
      of: ObjectFile(Source(image.bytes)), from: range.start, within: range, decoder: OperationDecoder(), budget: &budget)
    return (analysis, try analysis.isFixed(&budget))
  }

  /// At the call that the last of `pieces` but one is.
  private func shape(_ before: [UInt8], _ after: [UInt8] = [0xc3]) throws -> FrameShape {
    let (analysis, isFixed) = try analysis(before + ShapeTests.call + after)
    return analysis.shape(at: ShapeTests.start + UInt64(before.count + 5), returned: true, isFixed: isFixed)
  }

  @Test func `the canary lies where the prologue puts it`() throws {
    // sub $24,%rsp; load; mov %rax,8(%rsp); xor %eax,%eax
    #expect(try shape([0x48, 0x83, 0xec, 24] + ShapeTests.load + [0x48, 0x89, 0x44, 0x24, 8, 0x31, 0xc0]).canary == .saved(-24))
    // push %rbp; mov %rsp,%rbp; sub $32,%rsp; load; mov %rax,-8(%rbp)
    let framed: [UInt8] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 32] + ShapeTests.load + [0x48, 0x89, 0x45, 0xf8]
    #expect(try shape(framed).canary == .saved(-24))
    // sub %rdi,%rsp: alloca
    #expect(try shape(framed + [0x48, 0x29, 0xfc]).canary == .saved(-24))
    // push %rbp; mov %rsp,%rbp; and $-64,%rsp; sub $64,%rsp; load; mov %rax,56(%rsp)
    let aligned: [UInt8] =
      [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x83, 0xec, 64] + ShapeTests.load + [0x48, 0x89, 0x44, 0x24, 56]
    #expect(try shape(aligned).canary == .savedFrom(UInt8(Registers.rsp), 56))
  }

  @Test(
    arguments: [
      ("before the store", [0x48, 0x83, 0xec, 24] + load),
      // je +5 around the store
      ("stored on one way only", [0x48, 0x83, 0xec, 24] + load + [0x74, 5, 0x48, 0x89, 0x44, 0x24, 8]),
      // movl $0,12(%rsp)
      ("overwritten", [0x48, 0x83, 0xec, 24] + load + [0x48, 0x89, 0x44, 0x24, 8, 0xc7, 0x44, 0x24, 12, 0, 0, 0, 0]),
      // add $24,%rsp: the callee may write there
      ("given back", [0x48, 0x83, 0xec, 24] + load + [0x48, 0x89, 0x44, 0x24, 8, 0x48, 0x83, 0xc4, 24]),
      // mov %fs:0x30,%rax: another word of the thread
      ("another word", [0x48, 0x83, 0xec, 24, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x30, 0, 0, 0, 0x48, 0x89, 0x44, 0x24, 8]),
      // mov %rax,(%rdi): pthread_create puts it into the new thread
      ("stored elsewhere", [0x48, 0x83, 0xec, 24] + load + [0x48, 0x89, 0x07]),
    ] as [(String, [UInt8])])
  func `there is none where one way leaves none`(what: String, code: [UInt8]) throws {
    #expect(try shape(code).canary == nil, "\(what)")
  }

  @Test func `bytes tell whether a function may have one`() {
    for register: UInt8 in 0..<8 {
      var load = ShapeTests.load
      load[3] |= register << 3
      #expect(FlowAnalysis.mayKeepCanary([0x64, 0x90] + load) && FlowAnalysis.mayKeepCanary([load[0], 0x4c] + load[2...]))
    }
    #expect(!FlowAnalysis.mayKeepCanary(Array(ShapeTests.load.dropLast())) && !FlowAnalysis.mayKeepCanary([]))
    #expect(!FlowAnalysis.mayKeepCanary([0x64, 0x48, 0x2b, 0x04, 0x25, 0x28, 0, 0, 0]))
  }

  /// push %rbp; mov %rsp,%rbp; sub $16,%rsp
  private static let framed: [UInt8] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 16]

  @Test func `the depth of SP is told where it is certain`() throws {
    #expect(try shape(ShapeTests.framed, [0xc9, 0xc3]).stackPointer == -32)
    // leave; ret; and behind it, where an exception would lead: sub %rdi,%rsp; mov %rbp,%rsp is none
    #expect(try shape(ShapeTests.framed, [0xc9, 0xc3, 0x48, 0x29, 0xfc]).stackPointer == nil)
    #expect(try shape(ShapeTests.framed, [0x48, 0x89, 0xec, 0x5d, 0xc3]).stackPointer == -32)
    // jmp *%rdx with a frame: a table that is not understood
    #expect(try shape(ShapeTests.framed, [0xff, 0xe2]).stackPointer == nil)
    // je and jmp out of the function with a frame: a part of it, which may come back
    #expect(try shape(ShapeTests.framed, [0x0f, 0x84, 0, 1, 0, 0, 0xc9, 0xc3]).stackPointer == nil)
    // leave; jmp out of the function: a call in the place of a return
    #expect(try shape(ShapeTests.framed, [0xc9, 0xe9, 0, 1, 0, 0]).stackPointer == -32)
  }

  @Test(arguments: [
    ("/lib/x86_64-linux-gnu/libc.so.6", 200), ("/usr/bin/bash", 50), ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", 50),
    ("/usr/lib/postgresql/15/bin/postgres", 200),
  ])
  func `the canary is kept where the function's end compares it`(path: String, count: Int) throws {
    guard FileManager.default.fileExists(atPath: path) else { try Test.cancel("\(path) is not installed") }
    let compared = try ComparedCanaries(path: path)
    print("\(path): \(compared)")
    #expect(compared.functions > count && compared.others.isEmpty, "\(compared)")
    #expect(Double(compared.kept) >= 0.999 * Double(compared.calls), "\(compared)")
  }
}

/// Where flow analysis says that functions keep the canary, and where their ends compare it.
struct ComparedCanaries: CustomStringConvertible {
  var functions = 0
  /// Of those functions, after the canary has been loaded.
  var calls = 0
  /// With a known place.
  var kept = 0
  /// At another place than the function compares.
  var others: [ImageAddress] = []

  var description: String {
    "\(functions) functions, \(calls) calls, \(kept) with a canary, \(others.count) elsewhere "
      + others.prefix(6).map { String($0.value, radix: 16) }.joined(separator: " ")
  }

  init(path: String) throws {
    let file = try ObjectFile(Source([UInt8](Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))))
    var table = FrameTable(file)
    var budget = Budget(1 << 40)
    let decoder = OperationDecoder()
    for index in 0..<(try table.count(budget: &budget)) {
      let entry = try table.entry(index, budget: &budget)
      guard (1...(1 << 16)).contains(entry.range.count) else { continue }
      let code = try file.bytes(at: entry.range.start, upTo: Int(entry.range.count))
      guard FlowAnalysis.mayKeepCanary(code), try entry.row(at: entry.range.start, budget: &budget).cfa == .register(7, offset: 8) else {
        continue
      }
      let analysis = try FlowAnalysis(of: file, from: entry.range.start, within: entry.range, decoder: decoder, budget: &budget)
      functions += 1
      let places = try comparedPlaces(code, entry, decoder, &budget)
      var isLoaded = false
      var offset = 0
      while let operation = decoder.operation(at: offset, in: code) {
        offset += operation.length
        if case .canary = operation.effect { isLoaded = true }
        switch operation.transfer {
        case .call, .callIndirect: break
        default: continue
        }
        let address = entry.range.start + UInt64(offset)
        guard isLoaded, offset < code.count, analysis.reachesCall(before: address) else { continue }
        calls += 1
        guard let rule = analysis.shape(at: address, returned: true, isFixed: false).canary else { continue }
        kept += 1
        if case .saved(let place) = rule, !places.isEmpty, !places.contains(place) { others.append(address) }
      }
    }
  }

  /// From the CFA: what is loaded right before `sub`, `xor` or `cmp` with the canary.
  private func comparedPlaces(
    _ code: [UInt8], _ entry: FrameEntry, _ decoder: OperationDecoder, _ budget: inout Budget
  ) throws -> Set<Int64> {
    var places: Set<Int64> = []
    var loaded: (Memory, at: ImageAddress)?
    var offset = 0
    while let operation = decoder.operation(at: offset, in: code) {
      let bytes = code[offset...].prefix(9)
      if let (memory, address) = loaded, bytes.count == 9, bytes.first == 0x64, [0x2b, 0x33, 0x3b].contains(bytes[bytes.startIndex + 2]),
        bytes.suffix(5) == [0x25, 0x28, 0, 0, 0], case .register(let base) = memory.base,
        case .register(let number, let distance) = try entry.row(at: address, budget: &budget).cfa, base == number
      {
        places.insert(memory.displacement - distance)
      }
      loaded = nil
      if case .load(_, let memory) = operation.effect { loaded = (memory, entry.range.start + UInt64(offset)) }
      offset += operation.length
    }
    return places
  }
}
