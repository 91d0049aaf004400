# Runs what comes over the line: "ID seconds base64-of-a-script", each in a shell of its own, and answers with a line
# "@@DONE ID exit-code base64-of-its-output".
cd /root
echo "@@READY"
while read -r id limit script; do
  (
    base64 -d <<< "$script" > "/run/command.$id"
    timeout -k 5 "$limit" bash "/run/command.$id" > "/run/output.$id" 2>&1 < /dev/null
    code=$?
    answer="@@DONE $id $code $(tail -c 65536 "/run/output.$id" | base64 -w0)"
    rm -f "/run/command.$id" "/run/output.$id"
    # Several may end together: a line stays whole.
    flock /run/agent.lock echo "$answer"
  ) &
done
