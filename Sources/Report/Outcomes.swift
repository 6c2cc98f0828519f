package import Wire

/// What became of one check at one frame. A finding lists objections only: what did not object held, where it applies.
package enum Outcome: Equatable, Sendable {
  case holds
  case objects(Reason)
  /// The walk ended before the check could be made.
  case notJudged
  case notApplicable

  /// The stable name, in JSON.
  package var name: String {
    switch self {
    case .holds: "ok"
    case .objects: "objects"
    case .notJudged: "unknown"
    case .notApplicable: "n/a"
    }
  }
}

extension Finding {
  /// Frames from the innermost on that are listed one after the other; what follows them are single ones that something is said about.
  package var consecutiveFrames: Int {
    Int(depth) <= frames.count ? frames.count : min(frames.count, Finding.maxListedFrames - Finding.reservedFrames)
  }

  /// The base's frame, where it is listed.
  private var baseFrame: Int? {
    if let objection = violations.first(where: { $0.check == .base }) { return Int(objection.frame) }
    return end != nil && Int(depth) == frames.count ? frames.count - 1 : nil
  }

  /// `isInterrupted`: the thread was stopped at an instruction of its own, in no system call.
  package func outcome(of check: Check, at frame: Int, isInterrupted: Bool) -> Outcome {
    if let violation = violations.first(where: { $0.check == check && Int($0.frame) == frame }) { return .objects(violation.reason) }
    guard applies(check, at: frame, isInterrupted: isInterrupted) else { return .notApplicable }
    // Where the address is no code of a file, nothing more is known of it.
    let isCode = !violations.contains { $0.check == .text && Int($0.frame) == frame }
    if !isCode, check != .text { return .notJudged }
    if let unknown, Int(unknown.frame) == frame {
      // The frame's rule names the register, so the frame itself was judged. Of all others only the place is sure.
      if case .unknownRegister = unknown.reason { return .holds }
      return check == .text && unknown.reason != .unreadableImage ? .holds : .notJudged
    }
    // Off the thread's own stack there is no base to compare with.
    if check == .base, violations.contains(where: { $0.check == .stack }) { return .notJudged }
    return .holds
  }

  private func applies(_ check: Check, at frame: Int, isInterrupted: Bool) -> Bool {
    let follows = frame > 0 && frames[frame - 1].source == .signalFrame
    switch check {
    case .text, .stack: return true
    case .site: return frame == 0 && !isInterrupted
    // The kernel made a handler return to the trampoline that restores what it interrupted: that is known by its bytes.
    case .function: return frames[frame].source != .signalFrame
    case .call: return frame > 0 && !follows && frames[frame].source != .signalFrame
    case .base, .lineage: return frame == baseFrame
    case .edge: return frame > 0 && !follows && frames[frame].source != .signalFrame
    // One way in, one last return, one path: what they are said of is the frame that objects, or the innermost.
    case .seam, .residue, .path: return frame == 0 && !isInterrupted
    case .canary: return frames[frame].source == .cfi || frames[frame].source == .flow
    case .signal: return frames[frame].source == .signalFrame
    }
  }
}
