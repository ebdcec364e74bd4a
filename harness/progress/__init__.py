"""What a person sees while a sweep runs: one plain line a point, and on a terminal a live view of what is under way.

Everything goes to stderr. Knows nothing of servers, sockets or files: it is told what happens (`live`). The view is
drawn by a process of its own (`view`), because the client that measures shares this one; here a message is put into a
pipe once a second. The only room that imports rich, and only in that process, which is why nothing is imported here.
"""
