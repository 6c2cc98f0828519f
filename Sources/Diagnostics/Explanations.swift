extension Code {
  /// One sentence: what the code says.
  package var meaning: String {
    switch self {
    case .noRuntime: "no low-level runtime was found to hand the command to"
    case .badConfiguration: "callgate's configuration cannot be used"
    case .badArguments: "the command line is not one that runc or crun would take"
    case .badBundle: "the container's bundle cannot be read or rewritten"
    case .badAnnotation: "a dev.callgate.* annotation is unknown or has a value it cannot have"
    case .conflictingListener: "the container already has a seccomp listener, and the kernel allows one"
    case .loosenedByAnnotation: "an annotation could make the low-level runtime loosen the filter"
    case .stateDirectory: "callgate's own files cannot be kept or read"
    case .execFailed: "the low-level runtime could not be executed"
    case .unsupportedHost: "this host lacks something that callgate cannot do without"
    case .noSuchProcess: "there is no such process or thread, or it has ended"
    case .notTraceable: "the process cannot be looked into"
    case .profileNotInstalled: "no profile of this name is installed"
    case .badProfile: "the profile has an error"
    case .untrappable: "the profile traps a system call that the low-level runtime needs while it sets the container up"
    case .filterNotProven: "the merged filter does not do what profile and bundle demand"
    case .otherDigest: "the installed profile is not the one that was asked for by its digest"
    case .badSignature: "a profile's signature was not made by a trusted key over the profile as it is"
    case .notSigned: "the profile has no signature, and the configuration demands one"
    case .badKey: "a key cannot be used"
    case .badArtifact: "an OCI layout or archive does not hold what a profile's artifact must hold"
    case .wouldReplace: "something else is there already, and nothing was said of replacing it"
    case .noSuchRecording: "no recording of this name was started, or it was stopped"
    case .badRecording: "a recording cannot be made, read or kept so"
    case .noImage: "the files of an image could not be looked at"
    case .supervisorNotStarted: "the container's supervisor did not start, so neither did the container"
    case .inspectorLost: "the inspector ended or misbehaved during an inspection; the system call was denied"
    case .inspectorLate: "the inspector did not answer in time; the system call was denied"
    case .snapshotFailed: "the calling thread's registers and stack could not be copied; the system call was denied"
    case .internalError: "callgate met something that should not happen; the system call was denied"
    case .recordingFailed: "a recording ended before its container did; the container is supervised as before"
    case .supervisorLost: "the supervisor had to end; every trapped system call of its container fails from then on"
    case .site: "the system call did not come from a syscall instruction where a correct program has one for this call"
    case .text: "code ran that is not the image's: from memory without a file, from a changed page, or from a file that was changed"
    case .function: "a return address lies in no function that its file declares"
    case .call: "a return address does not follow a call, or follows one of the C library by code made at run time"
    case .stack: "a frame does not lie where the thread's own stack has it"
    case .base: "the chain of frames does not end where the thread or process started"
    case .edge:
      "a call on the stack goes to another function than the one whose frame lies below it, or went through a pointer to a function whose "
        + "address no loaded file holds"
    case .seam: "the library that makes the system call was entered through a pointer that no loaded file holds"
    case .residue: "the function that makes the system call was returned into or jumped to, not called"
    case .canary: "a stack frame lost the canary that its function had put there"
    case .signal: "a signal frame is not one that the kernel made, or a sensitive call was made from a handler"
    case .lineage: "the outer end of the thread's stack is not what it was at an earlier system call"
    case .path: "the profile lists the ways that lead to this system call, and this is none of them, or one that it denies"
    case .unknownFrame: "the stack could not be judged to its base"
    }
  }

  /// What a person can do about it.
  package var remedy: String {
    switch self {
    case .noRuntime: "install crun or runc, or name one by its absolute path in `runtimes` of /etc/callgate/config.toml"
    case .badConfiguration: "mend the file and line that the message names; callgate works without any configuration, too"
    case .badArguments: "compare with `crun --help`; callgate passes on what it does not need, but it must find the verb and the bundle"
    case .badBundle: "check that the bundle's config.json exists, is valid JSON, and that callgate may write beside it"
    case .badAnnotation: "use dev.callgate.untrusted=\"true\", dev.callgate.profile and dev.callgate.mode; annotations can only tighten"
    case .conflictingListener: "remove listenerPath from the bundle's linux.seccomp, or run the container without callgate"
    case .loosenedByAnnotation: "remove the run.oci.* annotation that the message names, or do not mark the container as untrusted"
    case .stateDirectory:
      "make sure that /run/callgate and /var/log/callgate can be written; without root: $XDG_RUNTIME_DIR and ~/.local/state"
    case .execFailed: "run the low-level runtime by hand with --version; the message names its path"
    case .unsupportedHost: "Linux 5.19 or later on x86-64 with seccomp user notification; BPF snapshots need Linux 6.10"
    case .noSuchProcess: "look it up again: ps -eLf lists processes and their threads; a container's are numbered as the host numbers them"
    case .notTraceable:
      "be root, or the process's own user where kernel.yama.ptrace_scope is 0; end a debugger or strace that holds it; "
        + "the kernel's own threads and 32-bit programs cannot be shown"
    case .profileNotInstalled: "put NAME.yaml into /etc/callgate/profiles, or name one of those that the message lists"
    case .badProfile: "mend the file, line and column that the message names"
    case .untrappable: "take the call out of `trap`"
    case .filterNotProven:
      "simplify the bundle's rules for the system call that the message names; please report the bundle's seccomp section"
    case .otherDigest:
      "compare with `callgatectl profile list`: install the profile that was asked for, or change the digest in `dev.callgate.profile`"
    case .badSignature:
      "sign the profile again if it was changed on purpose; put the signer's public key into /etc/callgate/keys (*.pem of openssl, *.pub of "
        + "minisign) if it is to be trusted; otherwise do not use the profile: `callgatectl profile verify` says more"
    case .notSigned:
      "sign it: `callgatectl profile sign --key KEY.key.pem FILE`, or minisign; or set policy.signatures to \"optional\" in config.toml"
    case .badKey:
      "use Ed25519 keys: `callgatectl profile keygen`, `openssl genpkey -algorithm ed25519` or `minisign -G`; a key that others may write "
        + "is none"
    case .badArtifact: "make it again with `callgatectl profile export`, or fetch it again; do not use what was changed on its way"
    case .wouldReplace: "compare the two; then choose another name, or say --force where the command has it"
    case .noSuchRecording: "start it: callgatectl record start NAME; those that there are: callgatectl record list"
    case .badRecording:
      "a recording's files are in /var/lib/callgate/recordings, without root in ~/.local/state/callgate/recordings: one a run, each for itself; "
        + "what the message names can be moved away"
    case .noImage: "be root, and name an image that podman has (podman image ls), or unpack it and give its folder by --root"
    case .supervisorNotStarted: "the message says what failed; user namespaces must be allowed, and /run/callgate writable"
    case .inspectorLost: "if no ELF file of the container is damaged or hostile, report the event: callgatectl why --last 1 --json"
    case .inspectorLate: "look at the machine's load, and at the files that the event's process has mapped"
    case .snapshotFailed: "if the process was not being killed at that moment, report the event: callgatectl why --last 1 --json"
    case .internalError: "report the event: callgatectl why --last 1 --json"
    case .recordingFailed: "look at the disk that the recording lies on; what was recorded before can be used"
    case .supervisorLost: "restart the container; the message says why the supervisor ended"
    case .text:
      "\(Code.treatAsAttack); a program that makes code at run time (node, Java) needs a profile that declares it with `jit`, which the "
        + "event then says; files that were built, installed or changed in the running container need `permit: [written-files]`; after an "
        + "upgrade of a library that is mapped, start the program again"
    case .edge:
      "\(Code.treatAsAttack); a program with plugins (NSS, PAM, modules of Python or Perl) calls functions that only dlsym(3) has told it the "
        + "address of, and needs a profile with `permit: [dlsym]`; otherwise a loaded file has to hold the function's address, or dlsym and "
        + "the function's name as a string; \(Code.reportCase)"
    case .seam:
      "\(Code.treatAsAttack); a pointer into the C library may lead to a function whose address a loaded file really holds (in its data or "
        + "code, not only to call it by name), or whose name a file that uses dlsym(3) holds as a string; a name put together at run time is "
        + "none, and `permit: [dlsym]` does not loosen this; a program that calls the C library for scripts by libffi (Python's ctypes, "
        + "Ruby's fiddle) needs a profile with `permit: [foreign-calls]`; \(Code.reportCase)"
    case .signal:
      "\(Code.treatAsAttack); a program that makes such calls from signal handlers needs a profile with `permit: [signal-handlers]`; a "
        + "handler has to be a function whose address a loaded file holds, as for CG4008"
    case .site:
      "\(Code.treatAsAttack); a tracer that rewrites system calls (proot, strace --inject) makes calls that the code never asked for, too; "
        + "\(Code.reportCase)"
    case .path:
      "if the way is legitimate, add it to `paths` of the profile, or take out the chain with `deny`; callgatectl why --last 1 shows the chain, in which a tail call leaves no "
        + "frame"
    case .function, .call, .stack, .base, .residue, .canary, .lineage:
      "\(Code.treatAsAttack); \(Code.reportCase)"
    case .unknownFrame:
      "the event says why: code without unwind information, a file that cannot be read, or a stack of more frames than `depth` below "
        + "`unknown`, which a profile for deep recursion can raise; set `noUnwindInfo`, or for the depth `onLimit`, there to audit in a profile of its own if "
        + "you accept what cannot be judged"
    }
  }

  private static let treatAsAttack = "treat it as an attack until proven otherwise: callgatectl why --last 1 shows the stack"
  private static let reportCase = "if the program is legitimate, set the check to audit in a profile of its own and report the case"
}
