const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EIO: 'the disk failed',
  EISDIR: 'it is a directory',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many files are open',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'there is no such file or directory',
  ENOSPC: 'no space is left on the device',
  ENOTDIR: 'part of the path is not a directory',
  EPERM: 'not permitted',
  EPIPE: 'whoever read it has gone',
  EROFS: 'the file system is read-only',
}

/** What the system says of a file or an address, for the end of a sentence that names it. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name does not resolve to an address'
  return REASONS[code ?? ''] ?? message
}
