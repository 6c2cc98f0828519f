internal import Inspection
internal import Kernel
internal import Wire

/// Why the inspector ends. It has no other way to say so: its standard error leads nowhere.
enum Failure: Error {
  case system(SyscallError)
  case wire(WireError)
  /// A message out of turn, or without its descriptors.
  case outOfTurn

  var status: CInt {
    switch self {
    case .system: 11
    case .wire: 12
    case .outOfTurn: 13
    }
  }
}

/// Address space for the caches of the largest programs (a node process has some dozens of megabytes of symbol and unwind tables);
/// descriptors for the files kept, and those of address spaces and of one question.
private let seal = Seal(memory: 2 << 30, files: UInt64(ImageCache.maxImages + 3 * SpaceView.maxPlaces + 64))

/// Seals this process, says so, and answers until the supervisor closes the socket.
func serve(_ conversation: Conversation) throws(Failure) {
  // The kernel maps the same vDSO into every process: ours is a copy that no container can have written to.
  let images = ImageCache(vdso: ownVDSO())
  do throws(SyscallError) { try seal.apply() } catch { throw .system(error) }
  try conversation.say(.ready)
  var spaces: [KeptSpace?] = Array(repeating: nil, count: SpaceView.maxPlaces)
  var isSettled = false
  while true {
    if !isSettled, try !conversation.isHeard(withinMilliseconds: settlingMilliseconds) {
      forgetCode()
      giveBackMemory()
      isSettled = true
    }
    guard var question = try conversation.hear() else { return }
    if case .survey(let request) = question.message {
      guard let file = question.descriptors.takeFirst() else { throw .outOfTurn }
      try conversation.say(.surveyed(survey(request, of: OpenFile(file).source())))
      continue
    }
    guard case .inspect(let request) = question.message else { throw .outOfTurn }
    let space = try space(of: request, &question.descriptors, &spaces)
    images.beginInspection()
    let begun = monotonicMilliseconds()
    var process = InspectedProcess(request, space, images: images, conversation: conversation)
    var finding = inspect(
      request.snapshot, in: &process, limits: limits(request), jit: request.jit, permissions: request.permissions,
      paths: request.paths, started: request.started, explain: request.explain,
      wantsRoute: request.wantsRoute)
    if !finding.isClean || request.explain, let text = request.text { finding.text = process.text(at: text) }
    // A conversation that broke off in the middle of an inspection leaves no finding to be sent.
    if let failure = process.failure { throw failure }
    try conversation.say(.finding(finding))
    // Whoever had to learn much of files needed much memory for that, and keeps little of it.
    if monotonicMilliseconds() - begun >= learningMilliseconds {
      giveBackMemory()
      isSettled = false
    }
  }
}

/// What is open of the request's address space: what came with it, kept where it says so; or what is kept.
private func space(
  of request: Request, _ descriptors: inout UnixSocket.Descriptors, _ spaces: inout [KeptSpace?]
) throws(Failure) -> KeptSpace {
  guard let memory = descriptors.takeFirst() else {
    guard let place = request.space?.place, let kept = spaces[Int(place)] else { throw .outOfTurn }
    return kept
  }
  guard let map = descriptors.takeFirst() else { throw .outOfTurn }
  let space = KeptSpace(
    memory: ProcessMemory(memory), map: MemoryMap(map), pages: PageMap(descriptors.takeFirst()))
  if let place = request.space?.place { spaces[Int(place)] = space }
  return space
}

/// An inspection of known code takes a tenth of a millisecond.
private let learningMilliseconds: Int64 = 2
/// Who is not asked for so long needs little of what it took to learn of files, and to start.
private let settlingMilliseconds: CInt = 2000

private func limits(_ request: Request) -> Limits {
  var limits = Limits()
  limits.maxFrames = Int(request.depth)
  return limits
}
