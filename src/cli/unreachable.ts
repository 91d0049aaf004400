import { systemReason } from '../lib/system-error.ts'
import { CliError, ExitCode } from './exit-codes.ts'

/** OpenSSL's and Node's codes for a certificate that nobody here vouches for. */
const UNTRUSTED = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED_|CERT_UNTRUSTED)/

/** What TLS says to an answer in plain text, which depends on OpenSSL's version. */
const NOT_TLS = /^(?:EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/

/** No answer came. */
export function unreachable(base: URL, error: NodeJS.ErrnoException): CliError {
  const message = `the daemon at ${base.origin} cannot be reached: ${whyUnreachable(error, base)}`
  return new CliError(ExitCode.unreachable, message, { cause: error })
}

/** An answer had begun. */
export function connectionBroke(base: URL, error: NodeJS.ErrnoException): CliError {
  const why = error.code === 'ECONNRESET' ? 'it ended, or was silent for too long' : systemReason(error)
  const message = `the daemon at ${base.origin} broke off its answer: ${why}`
  return new CliError(ExitCode.unreachable, message, { cause: error })
}

function whyUnreachable(error: NodeJS.ErrnoException, base: URL): string {
  const code = error.code ?? ''
  if (code === 'ECONNREFUSED') return 'nothing listens there; is it running?'
  if (NOT_TLS.test(code) && base.protocol === 'https:')
    return 'what listens there does not speak TLS; try http://'
  if (code === 'ECONNRESET' && base.protocol === 'http:') {
    return 'it closed the connection without an answer; if it speaks TLS, try https://'
  }
  if (UNTRUSTED.test(code)) return 'its certificate is of an unknown authority; --api-ca names the right one'
  return systemReason(error)
}
