import Foundation
import Testing

extension EndToEnd {
  /// Programs that make code while they run: what a profile declares runs as it does alone, the rest is denied and says what to declare.
  @Suite struct `Code made at run time` {
    static let everything = "[\"@exec\", \"@exec-memory\", \"@credentials\", \"@namespace\", \"@inject\"]"
    static let profiles = [
      "node": "{trap: \(everything), jit: [v8]}", "java": "{trap: \(everything), jit: [hotspot]}", "plain": "{trap: \(everything)}",
      "declared": "{trap: [\"@exec-memory\", \"@credentials\"], jit: [v8, hotspot]}",
    ]

    static let scripts = [
      "let s=0;function f(i){return i%7}for(let i=0;i<3e6;i++)s+=f(i);console.log(s,require('child_process').execSync('echo a child')+'')",
      "for(let r=0;r<3;r++){let a=[];for(let i=0;i<3e5;i++)a.push({i,b:[i]});console.log(require('child_process').spawnSync('echo',['' + a.length]).stdout+'')}",
      "(async()=>{for(let i=0;i<30;i++){await null;if(i%10==0)console.log(require('child_process').execFileSync('echo',['turn '+i])+'')}})()",
      "const {Worker}=require('worker_threads');new Worker('let s=0;for(let i=0;i<1e6;i++)s+=i;console.log(s+require(\"child_process\").execSync(\"echo w\"))',{eval:true})",
      "function f(a,i){return a.sort((x,y)=>{if(i==30000&&!f.d){f.d=1;console.log(require('child_process').execSync('echo sorted')+'')}return x-y})}for(let i=0;i<30001;i++)f([3,1,2],i)",
      "const vm=require('vm');vm.runInNewContext('g()',{g:()=>console.log(require('child_process').execSync('echo vm')+'')});console.log(require('zlib').gzipSync('x').length,/a+b/.test('aab'))",
      "const b=new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,2,7,1,1,109,1,102,0,0,3,2,1,0,7,5,1,1,103,0,1,10,6,1,4,0,16,0,11]);new WebAssembly.Instance(new WebAssembly.Module(b),{m:{f:()=>console.log(require('child_process').execSync('echo wasm')+'')}}).exports.g()",
      "const http=require('http');const s=http.createServer((q,r)=>require('child_process').exec('echo served',(e,o)=>r.end(o))).listen(0,'127.0.0.1',()=>http.get({port:s.address().port},r=>{r.on('data',d=>console.log(d+''));r.on('end',()=>s.close())}))",
    ]

    /// Cancels where the program is not here.
    private func required(_ program: String) throws {
      guard FileManager.default.isExecutableFile(atPath: "/usr/bin/\(program)") else { try cancel("\(program) is not installed") }
    }

    private func expectSame(
      _ command: [String], _ profile: String, by installed: Installed, within seconds: Double = 60,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let alone = try run(command, within: seconds)
      #expect(!alone.late && alone.status == 0 && !alone.output.isEmpty, "alone: \(alone)", sourceLocation: sourceLocation)
      let supervised = try run(installed.run(command, profile: profile), within: 2 * seconds)
      #expect(supervised == alone, sourceLocation: sourceLocation)
    }

    @Test func `runs as it does alone where node is declared`() throws {
      try required("node")
      try Callgate.required()
      let installed = try Installed(profiles: Self.profiles)
      for script in Self.scripts { try expectSame(["node", "-e", script], "node", by: installed) }
    }

    @Test func `runs as it does alone where Java is declared`() throws {
      try required("javac")
      try Callgate.required()
      let folder = try Folder()
      let source = Repository.root + "/Tests/InspectionTests/Fixtures/Everything.java"
      #expect(try run(["javac", "-d", folder.path, source]).status == 0)
      let installed = try Installed(profiles: Self.profiles)
      for options in [[], ["-Xint"], ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]] {
        try expectSame(["java"] + options + ["-cp", folder.path, "Everything"], "java", by: installed)
      }
      // The compiler is a Java program itself.
      try expectSame(["java", source], "java", by: installed)
    }

    @Test func `runs on Java's virtual threads as it does alone`() throws {
      try Callgate.required()
      let all = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/jvm")) ?? []
      let source = Repository.root + "/Tests/InspectionTests/Fixtures/Virtual.java"
      let able = all.map { "/usr/lib/jvm/\($0)/bin/java" }.first { java in
        FileManager.default.isExecutableFile(atPath: java) && (try? run([java, source]).output == "190\n") == true
      }
      guard let able else { try cancel("no Java 21 or later here") }
      let installed = try Installed(profiles: Self.profiles)
      for options in [[], ["-XX:TieredStopAtLevel=1"]] { try expectSame([able] + options + [source], "java", by: installed) }
    }

    @Test(arguments: [
      ("node", ["-e", "console.log(require('child_process').execSync('echo child') + '')"], "jit: [v8]"),
      ("java", [Repository.root + "/Tests/InspectionTests/Fixtures/Everything.java"], "jit: [hotspot]"),
    ])
    func `is denied where it is not declared, and the denial says what to declare`(
      _ program: String, _ arguments: [String], _ advice: String
    ) throws {
      try required(program)
      try Callgate.required()
      let installed = try Installed(profiles: Self.profiles)
      for profile in ["plain", program == "node" ? "java" : "node"] {
        let outcome = try run(installed.run([program] + arguments, profile: profile), within: 60)
        #expect(outcome.errors.contains(advice) && outcome.errors.contains("does not declare"), "\(outcome)")
      }
    }

    @Test func `is not what injected code looks like, though a runtime is declared`() throws {
      try Callgate.required()
      let installed = try Installed(profiles: Self.profiles)
      let command = try Evasion.command("anonymous-code", ["117", "parent"])
      #expect(try run(command, within: 20).possible().evaded)
      let outcome = try run(installed.run(command, profile: "declared"), within: 40)
      #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4002"), "\(outcome)")
    }

    /// A library in node's own process calls setuid out of memory of its own, or out of a piece of V8's, which is writable.
    @Test(arguments: [
      ("foreign", "was not made by a call of V8"), ("own", "calls the C library itself"),
      ("raw", "the system call at memory without a file lies in anonymous memory"),
    ])
    func `is the runtime's only where the runtime asked for its memory, and calls as the runtime's does`(_ kind: String, _ expected: String)
      throws
    {
      try required("node")
      try Callgate.required()
      let folder = try Folder()
      try folder.write(Self.injection, to: "made.c")
      #expect(try run(["gcc", "-O1", "-shared", "-fPIC", "-o", folder.file("made.so"), folder.file("made.c")]).status == 0)
      let script = "try { process.dlopen({exports: {}}, process.argv[1]) } catch (e) {}"
      let command = ["env", "KIND=\(kind)", "node", "-e", script, folder.file("made.so")]
      #expect(try run(command).output.contains("evaded"))
      let installed = try Installed(profiles: Self.profiles)
      let outcome = try run(installed.run(command, profile: "declared"), within: 40)
      #expect(outcome.killed && !outcome.output.contains("evaded") && outcome.errors.contains(expected), "\(outcome)")
    }

    static let injection = """
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/mman.h>
      #include <unistd.h>
      static unsigned char *writable(void) {
        char line[512], flags[8];
        unsigned long start, end, inode;
        FILE *maps = fopen("/proc/self/maps", "r");
        while (fgets(line, sizeof line, maps))
          if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &start, &end, flags, &inode) == 4 && !strcmp(flags, "rwxp") && !inode)
            return (unsigned char *)end - 64;
        return NULL;
      }
      __attribute__((constructor)) static void begin(void) {
        // push %rbp; mov %rsp, %rbp; call *%rsi; pop %rbp; ret
        static const unsigned char calling[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3};
        // push %rbp; mov %rsp, %rbp; mov $105, %eax; syscall; pop %rbp; ret
        static const unsigned char raw[] = {0x55, 0x48, 0x89, 0xe5, 0xb8, 105, 0, 0, 0, 0x0f, 0x05, 0x5d, 0xc3};
        const char *kind = getenv("KIND");
        unsigned char *code = strcmp(kind, "foreign")
            ? writable() : mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (strcmp(kind, "raw")) memcpy(code, calling, sizeof calling); else memcpy(code, raw, sizeof raw);
        ((int (*)(uid_t, int (*)(uid_t)))code)(getuid(), setuid);
        write(1, "evaded\\n", 7);
      }
      """

    /// libffi's trampolines jump: none of them is ever returned to, so nothing has to be declared.
    @Test func `needs no declaration where it is a trampoline of libffi`() throws {
      try Callgate.required()
      let script = "import ctypes, os; print(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: os.system('echo called back'))(), flush=True)"
      let alone = try run(["/usr/bin/python3", "-c", script])
      #expect(alone.output.contains("called back"))
      #expect(try Callgate.undisturbed { try run(Callgate.run(["/usr/bin/python3", "-c", script])) } == alone)
    }
  }
}
