import Supervisor
import Testing
import Wire

@Suite struct LineageTests {
  private static let base: UInt64 = 0x7ffc_1234_5660
  /// `_start` of a program has called glibc's start function, which has called main's caller.
  private static let start = Link(slot: base - 8, returnAddress: 0x55_0021, function: 0x55_0000)
  private static let libc = Link(slot: base - 160, returnAddress: 0x7f_0085, function: 0x7f_0000)
  private static let usual = Outermost(stackPointer: base, links: [start, libc])

  private func snapshot(_ thread: UInt32 = 8, made: UInt64? = 100, startStack: UInt64? = 0x7ffc_1234_5670) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = thread
    snapshot.process = 8
    snapshot.made = made
    snapshot.startStack = startStack
    return snapshot
  }

  private func finding(_ outermost: Outermost?, _ end: ChainEnd? = .processEntry) -> Finding {
    var finding = Finding()
    finding.end = end
    finding.outermost = outermost
    return finding
  }

  private func lineage(_ earlier: Outermost = LineageTests.usual, of snapshot: Snapshot) -> Lineage {
    var lineage = Lineage()
    lineage.note(finding(earlier), of: snapshot)
    return lineage
  }

  private func objection(to now: Outermost, after earlier: Outermost = LineageTests.usual) -> Reason? {
    lineage(earlier, of: snapshot()).objection(to: finding(now), of: snapshot())
  }

  private func changed(_ change: (inout Outermost) -> Void) -> Outermost {
    var outermost = LineageTests.usual
    change(&outermost)
    return outermost
  }

  @Test func `what has not changed is not objected to`() {
    #expect(objection(to: LineageTests.usual) == nil)
  }

  @Test func `another base is objected to`() {
    #expect(objection(to: changed { $0.stackPointer -= 16 }) == .otherBase)
    #expect(
      objection(
        to: changed {
          $0.stackPointer -= 16; $0.links[0].function = 0x7f_1000
        }) == .otherBase)
    #expect(objection(to: changed { $0.links[0].function = 0x7f_1000 }) == .otherOutermostFrames)
  }

  @Test func `another start function below the same call of the base is objected to`() {
    #expect(objection(to: changed { $0.links[1].function = 0x7f_1000 }) == .otherOutermostFrames)
  }

  @Test func `the base and the start function may go on to their next calls`() {
    #expect(objection(to: changed { $0.links[1].returnAddress += 5 }) == nil)
    #expect(
      objection(
        to: changed {
          $0.links[0].returnAddress += 9; $0.links[1].function = 0x7f_1000
        }) == nil)
  }

  @Test func `what one of the two does not tell is not compared`() {
    #expect(objection(to: changed { $0.links = [] }) == nil)
    #expect(objection(to: changed { $0.links.removeLast() }) == nil)
    #expect(objection(to: LineageTests.usual, after: changed { $0.links.removeLast() }) == nil)
    #expect(objection(to: LineageTests.usual, after: changed { $0.links = [] }) == nil)
  }

  @Test func `the loader goes over to the program, and the program not back`() {
    let loader = Outermost(
      stackPointer: LineageTests.base + 16, links: [Link(slot: LineageTests.base + 8, returnAddress: 0x7e_0048, function: 0x7e_0040)],
      isInLoader: true)
    #expect(objection(to: LineageTests.usual, after: loader) == nil)
    #expect(objection(to: loader) == .otherBase)
    var constructors = loader
    constructors.stackPointer += 8
    #expect(objection(to: constructors, after: loader) == nil)
  }

  @Test func `another thread, another address space and another end are not compared`() {
    let lineage = lineage(of: snapshot())
    let other = finding(changed { $0.stackPointer += 4096 })
    #expect(lineage.objection(to: other, of: snapshot()) == .otherBase)
    #expect(lineage.objection(to: other, of: snapshot(9)) == nil)
    #expect(lineage.objection(to: other, of: snapshot(made: 101)) == nil)
    #expect(lineage.objection(to: other, of: snapshot(made: nil)) == nil)
    #expect(lineage.objection(to: other, of: snapshot(startStack: 0x7ffc_0000_0000)) == nil)
    #expect(lineage.objection(to: other, of: snapshot(startStack: nil)) == nil)
    #expect(lineage.objection(to: finding(other.outermost, .coroutine), of: snapshot()) == nil)
    #expect(lineage.objection(to: finding(other.outermost, .threadStart), of: snapshot()) == .otherBase)
    #expect(lineage.objection(to: finding(nil, nil), of: snapshot()) == nil)
  }

  @Test func `coroutines leave no trace`() {
    var lineage = lineage(of: snapshot())
    lineage.note(finding(changed { $0.stackPointer += 4096 }, .coroutine), of: snapshot())
    #expect(lineage.objection(to: finding(LineageTests.usual), of: snapshot()) == nil)
  }

  @Test func `an execve begins anew`() {
    var lineage = lineage(of: snapshot())
    lineage.forget(8)
    #expect(lineage.objection(to: finding(changed { $0.stackPointer += 4096 }), of: snapshot()) == nil)
  }

  @Test func `of too many threads those that were quiet longest are forgotten`() {
    var lineage = Lineage()
    for thread in 0...UInt32(Lineage.maxThreads) { lineage.note(finding(LineageTests.usual), of: snapshot(thread)) }
    let other = finding(changed { $0.stackPointer += 4096 })
    #expect(lineage.objection(to: other, of: snapshot(0)) == nil)
    #expect(lineage.objection(to: other, of: snapshot(UInt32(Lineage.maxThreads))) == .otherBase)
  }
}
