import ELF
import Flow
import Samples
import Testing
import Unwind
import X86

/// Code that is written to be slow to follow costs no more than the budget.
@Suite struct CostTests {
  private func took(_ code: [UInt8]) throws -> Duration {
    var image = SampleImage(code: code)
    image.hasHeader = false
    let file = try ObjectFile(Source(image.bytes))
    let start = ImageAddress(SampleImage.codeAddress)
    return ContinuousClock().measure {
      var budget = Budget(1 << 18)
      do throws(UnwindError) {
        _ = try FlowAnalysis(
          of: file, from: start, within: AddressRange(start: start, count: UInt64(code.count)), decoder: OperationDecoder(), budget: &budget
        )
      } catch { #expect(error == .exhausted) }
    }
  }

  @Test func `ways that meet everywhere with different stacks`() throws {
    // push %rbx; je somewhere ahead
    #expect(try took((0..<30000).flatMap { [0x53, 0x74, UInt8($0 * 37 % 120)] }) < .seconds(20))
  }

  @Test func `many jumps that cannot be resolved`() throws {
    // push of every register, twice; jmp *%rax
    let pushes: [UInt8] = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]
    #expect(try took(pushes + pushes + (0..<20000).flatMap { _ in [0xff, 0xe0] as [UInt8] }) < .seconds(20))
  }
}
