// swift-tools-version: 6.2
import PackageDescription

/// `make fuzz`: all that is fuzzed is compiled so that libFuzzer sees which way it takes, and the program that feeds it is there.
let isFuzzed = Context.environment["CALLGATE_FUZZ"] == "1"

// The package reads from the bottom up as the data flows: bytes and text, then the parsers and the kernel, then what is decided
// on them, then the programs. An arrow only ever points down; `make lint` builds with the check that enforces it.

let settings: [SwiftSetting] =
  [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
  ] + (isFuzzed ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

/// What is linked into containers' own processes: no other modules of the standard library (regular expressions, tasks) come with it, and a
/// linker can order its functions.
let lean =
  settings + [
    .unsafeFlags(
      ["-disable-implicit-string-processing-module-import", "-disable-implicit-concurrency-module-import", "-function-sections"]
        .flatMap { ["-Xfrontend", $0] }, .when(configuration: .release))
  ]

func library(_ name: String, uses dependencies: [Target.Dependency] = [], also extra: [SwiftSetting] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: lean + extra)
}

func program(_ name: String, uses dependencies: [Target.Dependency], linked: [LinkerSetting] = []) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: lean, linkerSettings: linked)
}

/// For a program that is there as long as a container is: what of it is used lies together (`packaging/layout`, written by `make layout`), and
/// neither symbols for others nor a relocation of 24 bytes for each pointer take memory. The linker comes with Swift.
func compact(_ name: String) -> [LinkerSetting] {
  let layout = "\(Context.packageDirectory)/packaging/layout"
  let words = [
    "--version-script=\(layout)/hidden.map", "--symbol-ordering-file=\(layout)/\(name).order", "--no-warn-symbol-ordering",
    "-z", "pack-relative-relocs",
  ]
  return [.unsafeFlags(["-use-ld=lld"] + words.flatMap { ["-Xlinker", $0] }, .when(configuration: .release))]
}

func c(_ name: String) -> Target { .systemLibrary(name: name, path: "Sources/C/\(name)") }

func tests(_ name: String, uses dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let package = Package(
  name: "callgate",
  products: [
    .executable(name: "callgate", targets: ["callgate"]),
    .executable(name: "callgatectl", targets: ["callgatectl"]),
    .executable(name: "callgate-supervisor", targets: ["callgate-supervisor"]),
    .executable(name: "callgate-inspector", targets: ["callgate-inspector"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
  ],
  targets: [
    // C, one importer each.
    c("CLinux"), c("CSeccomp"), c("CCap"), c("CZydis"), c("CBPF"), c("CJansson"), c("CSodium"), c("CYAML"),

    // Bytes and text.
    library("Bytes", also: [.enableExperimentalFeature("Lifetimes")]),
    library("JSON", uses: ["CJansson"]),
    library("YAML", uses: ["CYAML"]),
    library("ProcFS"),
    library("Diagnostics"),

    // Hashes and signatures, from the archive and not the shared object: the dynamic linker would load that at every container's start.
    .target(name: "Sodium", dependencies: ["CSodium"], swiftSettings: settings, linkerSettings: [.linkedLibrary(":libsodium.a")]),

    // The parsers of attacker-owned files. Only the inspector links them.
    library("ELF", uses: ["Bytes"]),
    library("Go", uses: ["Bytes", "ELF"]),
    library("X86", uses: ["CZydis"]),
    library("Unwind", uses: ["Bytes", "ELF", "Wire"]),
    library("Flow", uses: ["Bytes", "ELF", "Unwind", "Wire", "X86"]),

    library("Linkage", uses: ["Bytes", "ELF", "Unwind"]),

    // What a container asks for, and what the administrator grants.
    library("OCI", uses: ["JSON", "Diagnostics"]),
    library("Profile", uses: ["YAML", "Diagnostics", "Wire"]),
    library("Digests", uses: ["Diagnostics", "JSON", "Profile", "Sodium", "Wire"]),
    library("Signatures", uses: ["Diagnostics", "Sodium"]),
    library("Distribution", uses: ["Diagnostics", "Digests", "JSON", "Profile", "Signatures"]),
    library(
      "Settings",
      uses: ["Diagnostics", "Digests", "Kernel", "Profile", "Signatures", .product(name: "TOMLKit", package: "TOMLKit")]),
    library("Filter", uses: ["CSeccomp", "Kernel", "OCI", "Profile", "Diagnostics"]),

    // The kernel, and the words the processes say to one another.
    library("Kernel", uses: ["CLinux", "CCap"]),
    .target(name: "BPF", dependencies: ["CBPF", "Kernel"], exclude: ["snapshot.bpf.c"], swiftSettings: lean),
    library("Wire", uses: ["Bytes"]),
    library("Plan", uses: ["JSON", "Profile", "Diagnostics", "Wire"]),
    library("Report", uses: ["JSON", "Wire", "Diagnostics"]),
    library("Recording", uses: ["JSON", "Wire"]),
    // Texts are searched in for others (`contains(_: String)`), which is in the module that `lean` leaves out.
    .target(
      name: "Authoring", dependencies: ["Diagnostics", "JSON", "Profile", "Recording", "Report", "Wire", "YAML"], swiftSettings: settings),
    library("Launch", uses: ["JSON", "Kernel", "Plan", "Profile", "Diagnostics", "Recording", "Wire"]),

    // What is done with them.
    library("Inspection", uses: ["Bytes", "ELF", "Flow", "Go", "Linkage", "Unwind", "X86", "Wire"]),
    library("Supervisor", uses: ["BPF", "JSON", "Kernel", "Plan", "Profile", "ProcFS", "Recording", "Report", "Wire", "Diagnostics"]),

    program(
      "callgate", uses: ["Diagnostics", "Digests", "Filter", "JSON", "Kernel", "Launch", "OCI", "Plan", "Profile", "Settings"]),
    .executableTarget(
      name: "callgatectl",
      dependencies: [
        "Authoring", "Diagnostics", "Digests", "Distribution", "Filter", "JSON", "Kernel", "Launch", "OCI", "Plan", "ProcFS", "Profile",
        "Recording", "Report", "Settings", "Signatures", "Supervisor", "Wire", "YAML",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    program(
      "callgate-supervisor", uses: ["Diagnostics", "JSON", "Kernel", "Launch", "Plan", "Supervisor"],
      linked: compact("callgate-supervisor")),
    program("callgate-inspector", uses: ["ELF", "Inspection", "Kernel", "ProcFS", "Wire"], linked: compact("callgate-inspector")),

    // Tests, one target each; Samples is what several of them are made from.
    .target(name: "Samples", path: "Tests/Samples", swiftSettings: settings),
    tests("BytesTests", uses: ["Bytes"]),
    tests("ELFTests", uses: ["ELF", "Samples"]),
    tests("GoTests", uses: ["ELF", "Go"], resources: [.copy("Fixtures")]),
    tests("X86Tests", uses: ["X86"]),
    tests("UnwindTests", uses: ["Bytes", "ELF", "Samples", "Unwind", "Wire", "X86"]),
    tests("LinkageTests", uses: ["ELF", "Linkage", "Samples", "Unwind"]),
    tests("FlowTests", uses: ["ELF", "Flow", "Samples", "Unwind", "Wire", "X86"]),
    tests(
      "InspectionTests", uses: ["BPF", "ELF", "Flow", "Inspection", "Samples", "Supervisor", "Unwind", "Wire"],
      resources: [.copy("Fixtures")]),
    tests("JSONTests", uses: ["JSON"]),
    tests("YAMLTests", uses: ["YAML"]),
    tests("FilterTests", uses: ["Diagnostics", "Filter", "JSON", "OCI", "Profile"], resources: [.copy("Fixtures")]),
    tests("OCITests", uses: ["Diagnostics", "JSON", "OCI"]),
    tests("PlanTests", uses: ["Diagnostics", "Plan", "Profile", "Wire"]),
    tests("CallgateTests", uses: ["JSON", "Plan", "callgate", "callgate-inspector", "callgate-supervisor"]),
    tests("ProfileTests", uses: ["Diagnostics", "Profile", "Wire"]),
    tests(
      "AuthoringTests", uses: ["Authoring", "Diagnostics", "JSON", "Profile", "Recording", "Report", "Wire", "YAML"],
      resources: [.copy("Fixtures")]),
    tests("DigestsTests", uses: ["Diagnostics", "Digests", "Profile", "Wire"]),
    tests("SignaturesTests", uses: ["Diagnostics", "Signatures", "Sodium"], resources: [.copy("Fixtures")]),
    tests("DistributionTests", uses: ["Diagnostics", "Digests", "Distribution", "JSON", "Signatures"]),
    tests("SettingsTests", uses: ["Diagnostics", "Profile", "Settings", "Signatures"]),
    // The programs as their users meet them. `make test` builds them first; the tests find them in the build folder.
    tests("EndToEndTests", uses: []),
    tests("KernelTests", uses: ["Kernel"]),
    tests("BPFTests", uses: ["BPF"]),
    tests("SupervisorTests", uses: ["BPF", "Diagnostics", "Kernel", "Plan", "Profile", "Recording", "Supervisor", "Wire"]),
    tests("WireTests", uses: ["Wire"]),
    tests("ProcFSTests", uses: ["ProcFS"]),
    tests("RecordingTests", uses: ["JSON", "Recording", "Wire"]),
    tests("ReportTests", uses: ["Diagnostics", "JSON", "Report", "Wire"]),
  ]
)

if isFuzzed {
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["ELF", "Flow", "Go", "Inspection", "Samples", "Unwind", "Wire", "X86"], path: "Tests/Fuzz",
      exclude: ["run", "seeds"], swiftSettings: settings, linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]))
}
