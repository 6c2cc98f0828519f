package import Wire
import Unwind

/// What one inspection may cost.
package struct Limits: Equatable, Sendable {
  /// Recursion in real programs (parsers, interpreters, sorted trees) reaches some thousand frames; a full 8 MiB stack of the
  /// smallest frames would have half a million.
  package var maxFrames = 8192
  /// Bytes of unwind information and code gone through: some 20 ns each. A first walk through ten large libraries takes some
  /// 100,000; indexing the `.eh_frame` of a large static program some millions.
  package var maxWork = 24 << 20
  /// Frames that are as the walk has known them before are passed; tests hold that against judging each of them from scratch.
  package var passesKnown = true

  package init() {}
}

/// Unwinds the stack of `snapshot` and says what the checks object to.
///
/// Names of functions are looked up only where the finding is not clean, or `explain` asks for them; those of `route` where it is wanted.
package func inspect(
  _ snapshot: Snapshot, in space: inout some AddressSpace, limits: Limits = Limits(), jit: JITMemory = JITMemory(),
  permissions: Set<Permission> = [], paths: Paths = Paths(), started: Int64? = nil, explain: Bool = false, wantsRoute: Bool = false
) -> Finding {
  var walk = Walk(snapshot, limits, jit, permissions, started)
  walk.run(in: &space)
  walk.judgeResidue(in: &space)
  walk.judgePath(paths)
  if wantsRoute { walk.finding.route = walk.route() }
  walk.finding.basis = walk.finding.isClean ? walk.basis() : nil
  if explain || !walk.finding.isClean { walk.listBelow(in: &space) }
  return walk.finish(explain: explain)
}
