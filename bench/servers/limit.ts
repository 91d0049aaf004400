import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/lib/free-port.ts'
import { type CProgram, compile } from '../compile.ts'
import { killProcess, startListening } from './file-server.ts'
import type { ServerKind } from './server-kind.ts'

const directory = fileURLToPath(new URL('../limit', import.meta.url))
const PROGRAMS: Readonly<Record<'iscsi' | 'nbd', CProgram>> = {
  iscsi: {
    name: 'iscsi-echo',
    directory,
    sources: ['iscsi-echo.c', 'iscsi-echo-login.c', 'echo-server.c'],
  },
  nbd: { name: 'nbd-echo', directory, sources: ['nbd-echo.c', 'echo-server.c'] },
}

/** What the row is called everywhere. */
export const LIMIT = 'limit'

/** An echo in C that answers the protocol from memory: no server can be faster with this client on this machine. */
export function limitOf(protocol: keyof typeof PROGRAMS): ServerKind {
  return {
    name: LIMIT,
    programs: ['gcc'],
    packages: ['gcc', 'libc6-dev'],
    async start(place) {
      const program = await compile(PROGRAMS[protocol])
      const port = await freePort()
      const child = await startListening(place, [program, String(port)], port)
      const pid = child.pid as number
      const path = protocol === 'iscsi' ? 'iqn.2026-11.io.holdfast.bench:echo/0' : ''
      return {
        name: LIMIT,
        version: '-',
        argv: [PROGRAMS[protocol].name, String(port)],
        settings: { data: 'none: reads answer the same bytes, writes are dropped' },
        url: `${protocol}://127.0.0.1:${port}/${path}`,
        pids: [pid],
        holdsNothing: true,
        async [Symbol.asyncDispose]() {
          killProcess(pid)
        },
      }
    },
  }
}
