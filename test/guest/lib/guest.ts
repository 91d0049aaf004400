import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run, succeed } from '../../lib/programs.ts'

const MACHINE = fileURLToPath(new URL('../machine', import.meta.url))
const BOOT_TIMEOUT_MS = 300_000
const COMMAND_TIMEOUT_S = 120
/** The guest ends a command by itself; this much later the line counts as dead. */
const LINE_GRACE_MS = 30_000
const CONSOLE_TAIL_LINES = 40

/** Addresses of the two links on our side; the guest has .2 on each. */
export const LINKS = [
  { tap: 'hfg0', address: '10.77.0.1' },
  { tap: 'hfg1', address: '10.77.1.1' },
] as const
/** The guest's default initiator name; machine/init.sh gives it. */
export const GUEST_IQN = 'iqn.2026-11.io.holdfast.test:guest'

export interface GuestResult {
  readonly code: number
  readonly output: string
}

export interface GuestCommandOptions {
  /** Seconds after which the guest kills it (code 124); default 120. */
  readonly timeoutS?: number
}

interface Waiter {
  readonly resolve: (result: GuestResult) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** Makes the two links in the network namespace that the tests run in, unless they are there. */
async function provideLinks(): Promise<void> {
  for (const { tap, address } of LINKS) {
    const present = await run('ip', ['link', 'show', tap])
    if (present.code === 0) continue
    await succeed('ip', ['tuntap', 'add', tap, 'mode', 'tap'])
    await succeed('ip', ['address', 'add', `${address}/24`, 'dev', tap])
    await succeed('ip', ['link', 'set', tap, 'up'])
  }
}

/** Takes one of the two links away, or brings it back. */
export async function setLink(link: number, state: 'up' | 'down'): Promise<void> {
  await succeed('ip', ['link', 'set', LINKS[link]!.tap, state])
}

/** A small machine with the stock Linux initiators, and a shell in it. Disposing it kills it. */
export class Guest implements AsyncDisposable {
  readonly #qemu: ChildProcess
  readonly #consoleLog: string
  readonly #waiters = new Map<number, Waiter>()
  readonly #ready: Promise<void>
  #becomeReady!: () => void
  #unfinished = ''
  #commands = 0

  private constructor(image: string, directory: string) {
    this.#consoleLog = join(directory, 'console.log')
    this.#ready = new Promise(resolve => {
      this.#becomeReady = resolve
    })
    const networks = LINKS.flatMap(({ tap }, index) => [
      ...['-netdev', `tap,id=net${index},ifname=${tap},script=no,downscript=no`],
      ...['-device', `virtio-net-pci,netdev=net${index},mac=52:54:00:77:00:0${index}`],
    ])
    const kernelArguments =
      'console=ttyS0 quiet mitigations=off random.trust_cpu=on nokaslr net.ifnames=0 panic=-1'
    const argv = [
      ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'Westmere', '-smp', '2', '-m', '768'],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none', '-no-reboot'],
      ...['-kernel', join(image, 'vmlinuz'), '-initrd', join(image, 'initrd'), '-append', kernelArguments],
      ...['-drive', `file=${join(image, 'root.img')},format=raw,if=virtio,snapshot=on`],
      ...['-drive', `file=${join(directory, 'machine.tar')},format=raw,if=virtio,readonly=on`],
      ...['-device', 'virtio-rng-pci', ...networks],
      ...['-chardev', 'stdio,id=line,signal=off', '-serial', `file:${this.#consoleLog}`],
      ...['-serial', 'chardev:line'],
    ]
    this.#qemu = spawn('nice', ['-n', '5', 'qemu-system-x86_64', ...argv], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: directory },
    })
    const complaints: Buffer[] = []
    this.#qemu.stderr!.on('data', chunk => complaints.push(chunk))
    this.#qemu.stdin!.on('error', () => {})
    this.#qemu.stdout!.setEncoding('latin1').on('data', (text: string) => this.#take(text))
    this.#qemu.once('exit', code =>
      this.#fail(new Error(`the guest ended (${code}): ${Buffer.concat(complaints)}\n${this.consoleTail()}`)),
    )
  }

  /** Boots the image named by GUEST_IMAGE; `directory` takes its console log. Throws when it takes over 5 min. */
  static async boot(directory: string): Promise<Guest> {
    const image = process.env.GUEST_IMAGE
    if (image === undefined) throw new Error('run it as: npm run test:guest')
    await provideLinks()
    await succeed('tar', ['-c', '-f', join(directory, 'machine.tar'), '-C', MACHINE, '.'])
    const guest = new Guest(image, directory)
    const timedOut = sleep(BOOT_TIMEOUT_MS, 'timeout' as const, { ref: false })
    const ended = once(guest.#qemu, 'exit').then(() => 'ended' as const)
    const outcome = await Promise.race([guest.#ready, timedOut, ended])
    if (outcome === undefined) return guest
    await guest[Symbol.asyncDispose]()
    throw new Error(`the guest does not boot (${outcome}):\n${guest.consoleTail()}`)
  }

  /** Runs a bash script; standard output and error together, the last 64 KiB of them. */
  run(script: string, { timeoutS = COMMAND_TIMEOUT_S }: GuestCommandOptions = {}): Promise<GuestResult> {
    const id = ++this.#commands
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          this.#settle(id)?.reject(new Error(`no answer from the guest: ${script}\n${this.consoleTail()}`)),
        timeoutS * 1000 + LINE_GRACE_MS,
      )
      this.#waiters.set(id, { resolve, reject, timer })
      this.#qemu.stdin!.write(`${id} ${timeoutS} ${Buffer.from(script).toString('base64')}\n`)
    })
  }

  /** As `run`; the output trimmed, and throws with it unless the script ends with 0. */
  async succeed(script: string, options?: GuestCommandOptions): Promise<string> {
    const { code, output } = await this.run(script, options)
    if (code === 0) return output.trim()
    const why = code === 124 ? 'took too long' : `ended with ${code}`
    throw new Error(`in the guest ${why}: ${script}\n${output}\n--- console\n${this.consoleTail()}`)
  }

  /** Runs `script` in the guest until it succeeds; throws when it does not within `timeoutS`. */
  eventually(script: string, timeoutS = COMMAND_TIMEOUT_S): Promise<string> {
    const loop = `until output=$( { ${script}\n} 2>&1 ); do sleep 0.2; done; echo "$output"`
    return this.succeed(loop, { timeoutS })
  }

  /** The end of the kernel's log. */
  consoleTail(): string {
    try {
      return readFileSync(this.#consoleLog, 'latin1')
        .trimEnd()
        .split('\n')
        .slice(-CONSOLE_TAIL_LINES)
        .join('\n')
    } catch {
      return '(no console log)'
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#qemu.exitCode === null && this.#qemu.signalCode === null) {
      const ended = once(this.#qemu, 'exit')
      this.#qemu.kill('SIGKILL')
      await ended
    }
  }

  #take(text: string): void {
    const lines = (this.#unfinished + text).split('\n')
    this.#unfinished = lines.pop()!
    for (const line of lines) {
      if (line.startsWith('@@READY')) this.#becomeReady()
      const answer = /^@@DONE (\d+) (\d+) (\S*)/.exec(line)
      if (answer === null) continue
      const output = Buffer.from(answer[3]!, 'base64').toString()
      this.#settle(Number(answer[1]))?.resolve({ code: Number(answer[2]), output })
    }
  }

  #settle(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id)
    this.#waiters.delete(id)
    clearTimeout(waiter?.timer)
    return waiter
  }

  #fail(error: Error): void {
    for (const id of [...this.#waiters.keys()]) this.#settle(id)?.reject(error)
  }
}
