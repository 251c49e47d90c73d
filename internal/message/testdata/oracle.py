# What Python's email package makes of messages: for each file named on standard input, one line of JSON with its
# leaves, [media type, file name or null, SHA-256 of the decoded octets or null where the leaf is a message].
import email.policy, hashlib, json, sys

def leaves(part):
    if part.get_content_maintype() == 'message' or not part.is_multipart():
        inner = part.get_content_maintype() == 'message'
        content = None if inner else hashlib.sha256(part.get_payload(decode=True) or b'').hexdigest()
        yield [part.get_content_type(), part.get_filename(), content]
        return
    for inner in part.iter_parts() if hasattr(part, 'iter_parts') else part.get_payload():
        yield from leaves(inner)

for name in sys.stdin.read().split('\n'):
    with open(name, 'rb') as f:
        print(json.dumps(list(leaves(email.message_from_bytes(f.read(), policy=email.policy.default)))))
