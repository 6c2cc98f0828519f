import Bytes
import ELF
import Unwind
import Wire
import X86

extension Walk {
  /// The way to the system call as a recording tells it; nil where the chain did not reach its end. Each module has its place in
  /// `modules.list`.
  mutating func route() -> Route? {
    guard finding.end != nil else { return nil }
    var steps: [RouteStep] = []
    for visited in trail {
      if visited.followsMadeCode { steps.append(RouteStep(module: nil)) }
      // Recursion is told once, however deep it is: recorded ways are not to differ by that.
      let step = routeStep(visited)
      if var last = steps.last, last.module != nil, last.isSameFunction(as: step) {
        last.repeats = true
        steps[steps.count - 1] = last
      } else {
        steps.append(step)
      }
    }
    guard steps.count > Route.maxSteps else { return Route(steps: steps) }
    let half = Route.maxSteps / 2
    return Route(steps: Array(steps.prefix(half)) + Array(steps.suffix(half)), gap: UInt16(half))
  }

  private mutating func routeStep(_ visited: Visited) -> RouteStep {
    let image = visited.code.image
    let symbol = image.symbol(at: visited.place.arrival.lookup(visited.code.address))
    let start = symbol?.start ?? visited.functionStart
    let names = symbol?.names ?? []
    var step = RouteStep(
      module: visited.code.module, start: start?.value, names: names, isStart: isStart(visited, names: names))
    if names.isEmpty, let start { step.fingerprint = image.fingerprint(of: start, budget: &budget) }
    return step
  }
}

extension RouteStep {
  /// A frame whose function is not known is its own.
  fileprivate func isSameFunction(as other: RouteStep) -> Bool {
    start != nil && module == other.module && start == other.start && names == other.names
  }
}

extension Image {
  private static let maxFingerprintBytes: UInt64 = 64 << 10
  /// Shorter ones look like others.
  private static let leastInstructions = 12

  /// What the instructions of the function at `start` do, without where they lie and what they refer to: another build's function with the same
  /// fingerprint was most likely made of the same source. nil where it cannot be told, and for short ones.
  func fingerprint(of start: ImageAddress, budget: inout Budget) -> UInt64? {
    if let known = fingerprints[start] { return known }
    var found: UInt64?
    do throws(UnwindError) { found = try readFingerprint(of: start, budget: &budget) } catch {}  // a hint is missing, no check is
    if fingerprints.count < CodePoints.maxKept { fingerprints[start] = .some(found) }
    return found
  }

  private func readFingerprint(of start: ImageAddress, budget: inout Budget) throws(UnwindError) -> UInt64? {
    guard let range = try extent(of: start, budget: &budget), range.count <= Image.maxFingerprintBytes else { return nil }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: range.start, upTo: Int(range.count)) } catch { throw .file(error) }
    try budget.spend(code.count)
    var print = Fingerprint()
    var (offset, count) = (0, 0)
    while offset < code.count {
      guard let operation = assembler.operation(at: offset, in: code) else { return nil }
      offset += operation.length
      guard !operation.isPadding else { continue }
      count += 1
      print.add(operation)
    }
    return count >= Image.leastInstructions ? print.value : nil
  }
}

/// FNV-1a over what is the same in every build of the same source: which registers are written, where control may go, and what kind of effect
/// each instruction has. Displacements and constants are left out: addresses are among them.
private struct Fingerprint {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ operation: Operation) {
    add(UInt8(truncatingIfNeeded: operation.written))
    add(UInt8(truncatingIfNeeded: operation.written >> 8))
    switch operation.transfer {
    case .next: add(0)
    case .jump: add(1)
    case .branch: add(2)
    case .jumpRegister(let register): add(3, register)
    case .jumpMemory: add(4)
    case .call: add(5)
    case .callIndirect: add(6)
    case .syscall: add(7)
    case .ret: add(8)
    case .halt: add(9)
    }
    switch operation.effect {
    case .push(let register?): add(16, register)
    case .pop(let register?): add(17, register)
    case .move(_, let from): add(18, from)
    case .moveHalf(_, let from): add(19, from)
    case .exchange(let a, let b): add(20, a, b)
    case .constant: add(21)
    case .address: add(22)
    case .load: add(23)
    case .store(_, _, let count): add(24, UInt8(truncatingIfNeeded: count))
    case .addRegister(_, let from): add(25, from)
    case .leave: add(26)
    case .compare: add(27)
    default: add(28)
    }
  }

  private mutating func add(_ bytes: UInt8...) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
  }
}
