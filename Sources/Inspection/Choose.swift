import ELF
import Unwind
import Wire

extension Walk {
  /// How well the call before a return address fits the function that it is to have called.
  private enum Fit: Int, Comparable {
    /// A direct call to somewhere else in the file: the function may have been jumped to in the place of a return.
    case possible = 1
    /// A call through a pointer, or from another file.
    case likely
    /// A direct call to exactly this function.
    case certain

    static func < (a: Fit, b: Fit) -> Bool { a.rawValue < b.rawValue }
  }

  /// The function that the stack says was called, of those that the address may belong to: its frame has the one size at which a return
  /// address lies that follows a call to it. nil where none of them has.
  mutating func choose(
    among candidates: [FlowRow], from place: Place, _ code: Code, in space: inout some AddressSpace
  ) -> FlowRow? {
    var best: (fit: Fit, row: FlowRow)?
    for candidate in candidates {
      guard let fit = fit(of: candidate, from: place, code, in: &space) else { continue }
      if fit == .certain { return candidate }
      if best == nil || best!.fit < fit { best = (fit, candidate) }
    }
    return best?.row
  }

  private mutating func fit(of candidate: FlowRow, from place: Place, _ code: Code, in space: inout some AddressSpace) -> Fit? {
    let caller: Caller
    do throws(UnwindError) { caller = try apply(candidate.row, to: place, code, in: &space).0 } catch {
      resting.giveUp()
      return nil
    }
    // Where a thread starts nothing has called.
    guard let returnAddress = caller.returnAddress else { return .possible }
    guard case .found(let above) = modules.code(at: returnAddress, .returned, in: &space) else { return nil }
    do throws(UnwindError) {
      if let target = try above.image.directCall(before: above.address), above.image === code.image {
        return target == candidate.entry ? .certain : .possible
      }
      // What the kernel has a handler return to, and makecontext a coroutine.
      if try above.image.isSignalTrampoline(above.address, .returned, budget: &budget) { return .likely }
      if try above.image.isCoroutineStart(above.address, budget: &budget) { return .likely }
      return try above.image.mayFollowCall(above.address) ? .likely : nil
    } catch {
      resting.giveUp()
      return nil
    }
  }
}
