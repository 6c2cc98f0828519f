/// Feeds one target with libFuzzer's inputs: `fuzz TARGET libFuzzer's-arguments`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

let targets: [String: (ArraySlice<UInt8>) -> Void] = [
  "cfi": fuzzCFI, "flow": fuzzFlow, "pclntab": fuzzGo, "frame-pointer": fuzzFramePointer, "code-cache": fuzzCodeCache,
  "signal-frame": fuzzSignalFrame, "walk": fuzzWalk, "elf": fuzzELF, "wire": fuzzWire,
]

// A global: a C function captures nothing.
let chosen = CommandLine.arguments.count > 1 ? targets[CommandLine.arguments[1]] : nil
guard chosen != nil else { fatalError("the first argument is one of: \(targets.keys.sorted())") }

// The target's name is not libFuzzer's.
var count = CommandLine.argc - 1
// SAFETY: the arguments live as long as the process, and there are more than one; the last one moved is the null that ends them.
unsafe CommandLine.unsafeArgv.advanced(by: 1).pointee = CommandLine.unsafeArgv[0]
var arguments = unsafe CommandLine.unsafeArgv.advanced(by: 1)
// SAFETY: libFuzzer gives `size` bytes that stay as they are while the target runs, which copies them.
unsafe _ = runFuzzer(&count, &arguments) { bytes, size in
  chosen?(unsafe Array(UnsafeBufferPointer(start: bytes, count: size))[...])
  return 0
}
