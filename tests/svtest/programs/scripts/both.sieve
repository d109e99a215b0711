require "vnd.dovecot.execute";
execute :input "a" :pipe "say";
