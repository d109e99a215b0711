require ["vnd.dovecot.execute", "variables"];
set "x" "say";
execute "${x}";
