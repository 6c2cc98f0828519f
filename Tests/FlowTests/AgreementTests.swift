import Foundation
import Testing

/// Where a compiler wrote CFI, flow analysis has to find the same.
@Suite struct AgreementTests {
  @Test(arguments: [
    ("/lib/x86_64-linux-gnu/libc.so.6", 1), ("/usr/bin/bash", 1), ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", 1),
    ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", 4), ("/usr/lib/postgresql/15/bin/postgres", 8),
    ("/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", 16), ("/usr/bin/node", 16),
  ])
  func `flow and CFI agree at calls`(path: String, stride: Int) throws {
    guard FileManager.default.fileExists(atPath: path) else { try Test.cancel("\(path) is not installed") }
    let clock = ContinuousClock()
    var agreement: Agreement?
    let time = try clock.measure { agreement = try Agreement(path: path, every: stride) }
    print("\(path): \(agreement!) in \(time)")
    #expect(agreement!.sites > 1000 && agreement!.share >= 0.999, "\(agreement!)")
  }
}
