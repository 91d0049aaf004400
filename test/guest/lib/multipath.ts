import type { Guest } from './guest.ts'

/** One keyword per line: multipath.conf knows no other way. */
const CONFIGURATION = `defaults {
  user_friendly_names no
  find_multipaths no
  polling_interval 2
  max_polling_interval 2
}
blacklist {
  devnode "^(vd|nbd|loop)"
}
overrides {
  no_path_retry 60
}
`

/** Starts multipathd; resolves when it answers. */
export async function startMultipathd(guest: Guest): Promise<void> {
  await guest.succeed(`cat > /etc/multipath.conf << 'END'\n${CONFIGURATION}END\nmultipathd`)
  await guest.eventually('multipathd show status')
}
