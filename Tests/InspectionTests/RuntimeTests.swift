import Foundation
import Glibc
import Inspection
import Testing
import Wire

/// mmap, mprotect, munmap, clone, fork, vfork, execve, futex, openat, socket, connect, bind, wait4, getdents64, unlink, mkdir, clone3
private let trapped: [Int32] = [9, 10, 11, 56, 57, 58, 59, 202, 257, 41, 42, 49, 61, 217, 87, 83, 435]

/// mmap, clone, vfork, execve, openat, connect, bind, wait4, unlink
private let fewer: [Int32] = [9, 56, 58, 59, 257, 42, 49, 61, 87]

/// Programs that make code while they run: every stack has to be read to its base.
@Suite(.serialized) struct RuntimeTests {
  /// Everything that is, or was, executable and has no file, taken for the runtime's: who made it is the supervisor's to know.
  private struct Made {
    let runtime: JITRuntime
    var ranges: [UInt64: [JITRange]] = [:]
    var makers: [UInt64: UInt32] = [:]

    mutating func memory(of snapshot: Snapshot, in process: LiveProcess) -> JITMemory {
      let start = snapshot.startStack ?? 0
      for mapping in process.every where mapping.isExecutable && (mapping.backing == .anonymous || runtime.isModule(mapping.path)) {
        let range = JITRange(start: mapping.start, end: mapping.end, runtime: runtime)
        if !ranges[start, default: []].contains(range) { ranges[start, default: []].append(range) }
        makers[start] = makers[start] ?? snapshot.process
      }
      return JITMemory(declared: [runtime], ranges: ranges[start] ?? [], isCopy: makers[start] != snapshot.process)
    }
  }

  private func expectClean(_ runtime: JITRuntime, _ command: [String], at numbers: [Int32] = trapped, limit: Int = 1500) throws {
    var (seen, flagged, made) = (0, 0, 0)
    var kinds: [String: Int] = [:]
    var memory = Made(runtime: runtime)
    try stops(at: numbers, of: command, limit: limit, jit: { memory.memory(of: $0, in: $1) }) { snapshot, finding in
      seen += 1
      if finding.sources[.framePointer] + finding.sources[.codeCache] > 0 { made += 1 }
      guard !finding.isClean else { return }
      flagged += 1
      kinds["\(finding.violations.map(\.reason)) \(String(describing: finding.unknown?.reason))", default: 0] += 1
      if flagged < 4 { Issue.record("\(command.prefix(2)), stop \(seen), syscall \(snapshot.number):\n\(shown(finding))") }
    }
    print("\(runtime.name): \(seen) stops, \(made) through made code, \(flagged) flagged \(kinds)")
    #expect(flagged == 0, "\(flagged) of \(seen)")
    if seen < 10 { try Test.cancel("\(command[0]) is not installed") }
    #expect(made > 0)
  }

  @Test(arguments: [
    "const fs=require('fs');fs.mkdtempSync('/tmp/callgate-js-');fs.readdirSync('/etc').length;console.log(fs.readFileSync('/etc/passwd').length)",
    "const c=require('child_process');c.execSync('true');c.spawnSync('ls',['/']);c.exec('echo hi',(e,o)=>console.log(o));c.spawn('true').on('exit',()=>{})",
    "let s=0;function f(i){return i%7}for(let i=0;i<3e6;i++)s+=f(i);require('fs').readdirSync('/');for(let i=0;i<3000;i++){if(i==2500)require('fs').statSync('/');f(i)}",
    "const http=require('http');const s=http.createServer((q,r)=>r.end('x')).listen(0,'127.0.0.1',()=>http.get({port:s.address().port},r=>{r.resume();r.on('end',()=>s.close())}))",
    "const {Worker,isMainThread}=require('worker_threads');new Worker('let a=[];for(let i=0;i<1e5;i++)a.push({i});require(\"child_process\").execSync(\"true\")',{eval:true})",
    "require('zlib').gzipSync(Buffer.alloc(1e5));require('crypto').pbkdf2Sync('a','b',10,32,'sha256');JSON.parse('['+Array(1e4).fill('{\"a\":1}').join()+']');'a'.repeat(1e4).replace(/a(?=a)/g,'b')",
    "(async()=>{for(let i=0;i<50;i++)await require('fs').promises.stat('/');require('child_process').execFileSync('true')})()",
    "const vm=require('vm');vm.runInNewContext('let x=0;for(let i=0;i<1e5;i++)x+=i;g()',{g:()=>require('child_process').spawnSync('true')})",
    "let a=[];for(let r=0;r<40;r++){a=[];for(let i=0;i<1e5;i++)a.push({i,b:[i]})}require('child_process').spawnSync('true')",
    "const b=new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,2,7,1,1,109,1,102,0,0,3,2,1,0,7,5,1,1,103,0,1,10,6,1,4,0,16,0,11]);new WebAssembly.Instance(new WebAssembly.Module(b),{m:{f:()=>require('child_process').spawnSync('true')}}).exports.g()",
    "function f(a,i){return a.map(x=>x+i).sort((x,y)=>{if(i==30000&&!f.d){f.d=1;require('child_process').spawnSync('true')}return x-y})}for(let i=0;i<30001;i++)f([3,1,2],i)",
    "class A{get x(){return 1}}function g(o){return o.x}for(let i=0;i<1e5;i++)g(new A);class B{get x(){return require('child_process').spawnSync('true').status}}g(new B);g(new B)",
  ])
  func `node's stacks are read to their base`(script: String) throws { try expectClean(.v8, ["node", "-e", script]) }

  /// No trap, no endless loop, and no chain longer than the limit: that the calls return at all is what is tested.
  @Test func `a description of the code that lies ends an inspection, too`() throws {
    guard let java = try JavaProgram.made.get().machines.first else { try Test.cancel("no Java here") }
    var memory = Made(runtime: .hotspot)
    var (inspected, unclean) = (0, 0)
    try stops(
      at: [257], of: [java, "-cp", JavaProgram.folder.path, "Everything"], limit: 120,
      jit: { snapshot, process in
        let made = memory.memory(of: snapshot, in: process)
        var plain = process
        guard inspect(snapshot, in: &plain, jit: made).sources[.codeCache] > 0, inspected < 800 else { return made }
        for seed in 1...40 {
          var space = Corrupted(process: process, state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15, rarity: UInt64(1 + seed % 9))
          let finding = inspect(snapshot, in: &space, jit: made)
          #expect(finding.depth <= UInt32(Limits().maxFrames))
          inspected += 1
          if !finding.isClean { unclean += 1 }
        }
        return made
      }, found: { _, _ in })
    #expect(inspected >= 400 && unclean > inspected / 10, "\(unclean) of \(inspected)")
  }

  @Test func `Java's stacks are read to their base`() throws {
    for java in try JavaProgram.made.get().machines {
      for options in [[], ["-Xint"], ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]] {
        try expectClean(.hotspot, [java] + options + ["-cp", JavaProgram.folder.path, "Everything"], at: fewer, limit: 4000)
      }
    }
  }
}

/// A process some bytes of whose memory, beside its first stack, are not what they are.
private struct Corrupted: AddressSpace {
  var process: LiveProcess
  var state: UInt64
  /// One read in so many is changed.
  let rarity: UInt64

  private mutating func random() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    var bytes = try process.read(at: address, upTo: count)
    guard random() % rarity == 0 else { return bytes }
    for _ in 0...(random() % 32) { bytes[Int(random() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random()) }
    return bytes
  }

  func mapping(at address: UInt64) -> Mapping? { process.mapping(at: address) }
  func image(of mapping: Mapping) throws(Unreadable) -> Image? { try process.image(of: mapping) }
  func codeMappings() -> [Mapping] { process.codeMappings() }

  /// Only stacks are corrupted.
  func ownPages(from address: UInt64, count: Int) -> [Int]? { [] }
}

/// A Java program that does what programs do: files, sockets, threads, processes, exceptions, garbage, loops that get compiled.
struct JavaProgram {
  static let folder = FileManager.default.temporaryDirectory.appendingPathComponent("callgate-java-\(getpid())")
  static let made = Result { try JavaProgram() }
  let machines: [String]

  private init() throws {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/jvm")) ?? []
    machines = all.filter { !$0.hasPrefix(".") }.map { "/usr/lib/jvm/\($0)/bin/java" }
      .filter {
        FileManager.default.isExecutableFile(atPath: $0)
          && (try? FileManager.default.destinationOfSymbolicLink(
            atPath: URL(fileURLWithPath: $0).deletingLastPathComponent().deletingLastPathComponent().path)) == nil
      }
      .sorted()
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/javac") else { try Test.cancel("no javac here") }
    try FileManager.default.createDirectory(at: JavaProgram.folder, withIntermediateDirectories: true)
    atexit { _ = try? FileManager.default.removeItem(at: JavaProgram.folder) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/javac")
    process.arguments = [
      "--release", "17", "-d", JavaProgram.folder.path, Bundle.module.bundleURL.appendingPathComponent("Fixtures/Everything.java").path,
    ]
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Workshop.Failed("javac") }
  }
}
