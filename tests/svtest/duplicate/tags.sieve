require ["duplicate"];
if duplicate :seconds 999999999 :last :handle "x" :header "x-event" { discard; }
if duplicate :uniqueid "v" :last { discard; }
