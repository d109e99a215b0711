require ["include", "variables"];
global "trail";
set "trail" "${trail} <${mine}>";
set "mine" "inner";
