import pino, { type DestinationStream, type Logger } from 'pino'
import { TextLogStream } from './log-text.ts'

export type Log = Logger

export interface LogOptions {
  readonly level: string
  readonly format: 'auto' | 'json' | 'text'
  /** Where lines go; standard error unless a test looks on. */
  readonly destination?: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

/** Fields that never leave the process, wherever a caller puts them. */
const SECRET_FIELDS = ['secret', 'mutualSecret', 'token', 'password', 'authorization']

/**
 * The logger of a daemon. Children carry `sessionId`, `volume` or `peer`; messages are constant and data goes
 * into fields; nothing at info is per operation.
 */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? process.stderr
  const asText = options.format === 'text' || (options.format === 'auto' && destination.isTTY === true)
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap(name => [name, `*.${name}`]), censor: '********' },
    },
    orLost(asText ? new TextLogStream(destination) : destination, destination),
  )
}

/** A line that cannot be written, to a full disk or a reader that is gone, is lost: nobody's I/O may end for it. */
function orLost(lines: DestinationStream, destination: NodeJS.WritableStream): DestinationStream {
  destination.on('error', () => {})
  return {
    write(line) {
      try {
        lines.write(line)
      } catch {
        // Where standard error is a file, writing to it throws.
      }
    },
  }
}
