// callgate-supervisor: one per untrusted container. Started by callgate and callgatectl with two descriptors:
// 3 holds the plan, 4 takes one line, `ready PID` or what went wrong.
internal import Diagnostics
internal import Kernel
internal import Launch
internal import Plan
internal import Supervisor

let planFile = OwnedFD(owning: 3)
let ready = OwnedFD(owning: 4)

do throws(Refusal) {
  try supervise(planFile: planFile, ready: ready)
} catch {
  // Whoever started us may be gone; then nobody is left to tell.
  do throws(SyscallError) { try writeAll(Array("\(error)\n".utf8), to: ready) } catch {}
  exitNow(1)
}
